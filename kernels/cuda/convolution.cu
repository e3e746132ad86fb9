// Convolutional layers, one thread an element of the result, straight from the formula: every size,
// every kind, every precision. Operands are read from L2 as often as they are used.
#include "kernels/cuda/adam_update.h"
#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

constexpr unsigned block = 256;

__device__ float rounded(float value, Precision precision) {
    switch (precision) {
    case Precision::float32:
        break;
    case Precision::tf32:
        return __uint_as_float(round_to_tf32(value));
    case Precision::bf16:
        return __uint_as_float(round_to_bf16_pair(value, value) << 16);
    }
    return value;
}

// A layer as its kernels see it (kernels/convolution_shape.h).
struct Layer {
    ConvolutionWindow window;
    bool folded; // the weights are a 3x3 that is folded as it is read
    Precision precision;
    std::int64_t large_size, small_size; // elements of a picture

    // weight[small channel o, large channel i, a, b], rounded.
    __device__ float weight(const float* weights, int o, int i, int a, int b) const {
        if (!folded) {
            const int inputs = window.large.channels / window.groups;
            const std::int64_t pair = std::int64_t{o} * inputs + i;
            return rounded(weights[(pair * window.kernel_height + a) * window.kernel_width + b],
                           precision);
        }
        // Along each axis the taps 2; 1, 2; 0, 1; 0. Lines first.
        const float* const of = weights + (std::int64_t{i} * window.small.channels + o) * 9;
        const int first = a < 2 ? 2 - a : 0, last = a == 0 ? 2 : 3 - a;
        const auto line = [&](int column) {
            return first < last ? of[first * 3 + column] + of[last * 3 + column]
                                : of[first * 3 + column];
        };
        const int left = b < 2 ? 2 - b : 0, right = b == 0 ? 2 : 3 - b;
        return rounded(left < right ? line(left) + line(right) : line(left), precision);
    }
};

// What becomes of a sum: bias and epilogue forward, the derivative of the epilogue below backward.
struct Finish {
    bool forward;
    const float* bias;  // null: none
    const float* below; // the epilogue's output; not read when it is the identity
    Epilogue epilogue;

    __device__ float operator()(float sum, int channel, std::int64_t element) const {
        const ElementEpilogue of_element(epilogue);
        if (forward) {
            return of_element.apply(bias != nullptr ? sum + bias[channel] : sum, element);
        }
        return of_element.is_identity() ? sum
                                        : sum * of_element.derivative(below[element], element);
    }
};

__global__ void __launch_bounds__(block)
    convolution_gather_kernel(float* small, const float* large, const float* weight, Layer layer,
                              Finish finish, std::int64_t rows) {
    begin_kernel();
    const ConvolutionWindow& w = layer.window;
    const std::int64_t e = std::int64_t{blockIdx.x} * block + threadIdx.x;
    if (e >= rows * layer.small_size) {
        return;
    }
    const int c = static_cast<int>(e % w.small.width);
    const int r = static_cast<int>(e / w.small.width % w.small.height);
    const int o = static_cast<int>(e / (w.small.height * w.small.width) % w.small.channels);
    const float* const picture = large + e / layer.small_size * layer.large_size;
    const bool depthwise = w.groups > 1;
    float sum = 0.0f;
    for (int i = 0; i < (depthwise ? 1 : w.large.channels); ++i) {
        const std::int64_t map = (depthwise ? o : i) * std::int64_t{w.large.height} * w.large.width;
        for (int a = 0; a < w.kernel_height; ++a) {
            const int j = r * w.stride - w.padding + a * w.dilation;
            for (int b = 0; b < w.kernel_width; ++b) {
                const int k = c * w.stride - w.padding + b * w.dilation;
                if (j >= 0 && j < w.large.height && k >= 0 && k < w.large.width) {
                    const float x = picture[map + std::int64_t{j} * w.large.width + k];
                    sum = fmaf(layer.weight(weight, o, i, a, b), rounded(x, layer.precision), sum);
                }
            }
        }
    }
    small[e] = finish(sum, o, e);
}

__global__ void __launch_bounds__(block)
    convolution_scatter_kernel(float* large, const float* small, const float* weight, Layer layer,
                               Finish finish, std::int64_t rows) {
    begin_kernel();
    const ConvolutionWindow& w = layer.window;
    const std::int64_t e = std::int64_t{blockIdx.x} * block + threadIdx.x;
    if (e >= rows * layer.large_size) {
        return;
    }
    const int k = static_cast<int>(e % w.large.width);
    const int j = static_cast<int>(e / w.large.width % w.large.height);
    const int i = static_cast<int>(e / (w.large.height * w.large.width) % w.large.channels);
    const float* const picture = small + e / layer.large_size * layer.small_size;
    const bool depthwise = w.groups > 1;
    float sum = 0.0f;
    for (int o = 0; o < (depthwise ? 1 : w.small.channels); ++o) {
        const int from = depthwise ? i : o;
        const std::int64_t map = from * std::int64_t{w.small.height} * w.small.width;
        for (int a = 0; a < w.kernel_height; ++a) {
            const int r = j + w.padding - a * w.dilation; // times the stride
            for (int b = 0; b < w.kernel_width; ++b) {
                const int c = k + w.padding - b * w.dilation;
                if (r >= 0 && r % w.stride == 0 && r / w.stride < w.small.height && c >= 0 &&
                    c % w.stride == 0 && c / w.stride < w.small.width) {
                    const float x =
                        picture[map + std::int64_t{r / w.stride} * w.small.width + c / w.stride];
                    sum = fmaf(layer.weight(weight, from, depthwise ? 0 : i, a, b),
                               rounded(x, layer.precision), sum);
                }
            }
        }
    }
    large[e] = finish(sum, i, e);
}

// One weight of the window: its products over all rows and positions.
__device__ float correlate(const float* small, const float* large, const Layer& layer,
                           std::int64_t rows, int o, int i, int a, int b) {
    const ConvolutionWindow& w = layer.window;
    float sum = 0.0f;
    for (std::int64_t row = 0; row < rows; ++row) {
        const float* const from =
            small + row * layer.small_size + std::int64_t{o} * w.small.height * w.small.width;
        const float* const to =
            large + row * layer.large_size + std::int64_t{i} * w.large.height * w.large.width;
        for (int r = 0; r < w.small.height; ++r) {
            const int j = r * w.stride - w.padding + a * w.dilation;
            for (int c = 0; c < w.small.width; ++c) {
                const int k = c * w.stride - w.padding + b * w.dilation;
                if (j >= 0 && j < w.large.height && k >= 0 && k < w.large.width) {
                    sum = fmaf(rounded(from[r * w.small.width + c], layer.precision),
                               rounded(to[std::int64_t{j} * w.large.width + k], layer.precision),
                               sum);
                }
            }
        }
    }
    return sum;
}

// What becomes of the gradient of a parameter.
struct Store {
    float* gradient;
    bool accumulate;

    __device__ void operator()(float value, std::int64_t element) const {
        gradient[element] = accumulate ? gradient[element] + value : value;
    }
};

struct Step {
    AdamTensor tensor;
    Adam adam;

    __device__ void operator()(float gradient, std::int64_t element) const {
        AdamUpdate(adam).apply(tensor.value.data[element], tensor.first_moment.data[element],
                               tensor.second_moment.data[element], gradient);
    }
};

template <class Update>
__global__ void __launch_bounds__(block)
    convolution_weight_gradient_kernel(Update update, const float* small, const float* large,
                                       Layer layer, std::int64_t rows) {
    begin_kernel();
    const ConvolutionWindow& w = layer.window;
    const std::int64_t e = std::int64_t{blockIdx.x} * block + threadIdx.x;
    const int height = layer.folded ? 3 : w.kernel_height;
    const int width = layer.folded ? 3 : w.kernel_width;
    const std::int64_t pair = e / (height * width);
    const int inputs = w.large.channels / w.groups;
    if (pair >= std::int64_t{w.small.channels} * inputs) {
        return;
    }
    const int b = static_cast<int>(e % width);
    const int a = static_cast<int>(e / width % height);
    float gradient = 0.0f;
    if (layer.folded) {
        const int o = static_cast<int>(pair % w.small.channels);
        const int i = static_cast<int>(pair / w.small.channels);
        for (int line = 2 - a; line <= 3 - a; ++line) {
            for (int column = 2 - b; column <= 3 - b; ++column) {
                gradient += correlate(small, large, layer, rows, o, i, line, column);
            }
        }
    } else {
        const int o = static_cast<int>(pair / inputs);
        gradient = correlate(small, large, layer, rows, o,
                             w.groups > 1 ? o : static_cast<int>(pair % inputs), a, b);
    }
    update(gradient, e);
}

// A block a channel.
template <class Update>
__global__ void __launch_bounds__(reduction_block)
    convolution_bias_gradient_kernel(Update update, const float* dz, std::int64_t channels,
                                     std::int64_t pixels, std::int64_t rows) {
    begin_kernel();
    auto& storage = shared<BlockSumStorage<1>>();
    double sum[1] = {0.0};
    for (std::int64_t e = threadIdx.x; e < rows * pixels; e += reduction_block) {
        sum[0] += dz[(e / pixels * channels + blockIdx.x) * pixels + e % pixels];
    }
    sum_over_block(sum, storage);
    if (threadIdx.x == 0) {
        update(static_cast<float>(sum[0]), blockIdx.x);
    }
}

Layer layer_of(const ConvolutionShape& shape, Precision precision, std::int64_t rows) {
    const ConvolutionWindow window = convolution_window(shape);
    return {window, shape.kind == ConvolutionKind::upsampled,
            shape.rounds(rows) ? precision : Precision::float32, window.large.size(),
            window.small.size()};
}

bool gathers_forward(const ConvolutionShape& shape) {
    return shape.kind == ConvolutionKind::convolution;
}

double parameters(const ConvolutionShape& shape, bool with_bias) {
    return static_cast<double>(shape.weights() + (with_bias ? shape.out_channels : 0));
}

} // namespace

void CudaBackend::convolution_forward(Matrix<float> y, Matrix<const float> x,
                                      Vector<const float> weight, Vector<const float> bias,
                                      const Epilogue& epilogue, const ConvolutionShape& shape) {
    launch(gathers_forward(shape) ? convolution_gather_kernel : convolution_scatter_kernel,
           {.grid = blocks_for(y.size(), block),
            .stream = stream_,
            .name = "convolution_forward",
            .work = {4.0 * (y.size() + x.size() + parameters(shape, !bias.empty())),
                     shape.operations(y.rows)}},
           y.data, x.data, weight.data, layer_of(shape, precision_, y.rows),
           Finish{true, bias.data_or_null(), nullptr, epilogue}, y.rows);
}

void CudaBackend::convolution_input_gradient(Matrix<float> dx, Matrix<const float> dz,
                                             Vector<const float> weight, Matrix<const float> x,
                                             const Epilogue& previous,
                                             const ConvolutionShape& shape) {
    launch(gathers_forward(shape) ? convolution_scatter_kernel : convolution_gather_kernel,
           {.grid = blocks_for(dx.size(), block),
            .stream = stream_,
            .name = "convolution_input_gradient",
            .work = {4.0 * ((previous.is_identity() ? 1 : 2) * dx.size() + dz.size() +
                            parameters(shape, false)),
                     shape.operations(dx.rows)}},
           dx.data, dz.data, weight.data, layer_of(shape, precision_, dx.rows),
           Finish{false, nullptr, x.data, previous}, dx.rows);
}

void CudaBackend::convolution_weight_gradient(Vector<float> d_weight, Vector<float> d_bias,
                                              Matrix<const float> dz, Matrix<const float> x,
                                              bool accumulate, const ConvolutionShape& shape) {
    const bool large_is_x = gathers_forward(shape);
    launch(convolution_weight_gradient_kernel<Store>,
           {.grid = blocks_for(d_weight.size, block),
            .stream = stream_,
            .name = "convolution_weight_gradient",
            .work = {4.0 * (dz.size() + x.size()) + (accumulate ? 8.0 : 4.0) * d_weight.size,
                     shape.operations(dz.rows)}},
           Store{d_weight.data, accumulate}, large_is_x ? dz.data : x.data,
           large_is_x ? x.data : dz.data, layer_of(shape, precision_, dz.rows), dz.rows);
    launch(convolution_bias_gradient_kernel<Store>,
           {.grid = static_cast<unsigned>(d_bias.size),
            .block = reduction_block,
            .shared_bytes = sizeof(BlockSumStorage<1>),
            .stream = stream_,
            .name = "convolution_bias_gradient",
            .work = {4.0 * dz.size() + (accumulate ? 8.0 : 4.0) * d_bias.size, 1.0 * dz.size()}},
           Store{d_bias.data, accumulate}, dz.data, d_bias.size, shape.out().plane(), dz.rows);
}

void CudaBackend::convolution_weight_gradient_adam(AdamTensor weight, AdamTensor bias,
                                                   Matrix<const float> dz, Matrix<const float> x,
                                                   const Adam& adam,
                                                   const ConvolutionShape& shape) {
    const bool large_is_x = gathers_forward(shape);
    launch(convolution_weight_gradient_kernel<Step>,
           {.grid = blocks_for(weight.value.size, block),
            .stream = stream_,
            .name = "convolution_weight_gradient_adam",
            .work = {4.0 * (dz.size() + x.size()) + 24.0 * weight.value.size,
                     shape.operations(dz.rows) + 12.0 * weight.value.size}},
           Step{weight, adam}, large_is_x ? dz.data : x.data, large_is_x ? x.data : dz.data,
           layer_of(shape, precision_, dz.rows), dz.rows);
    launch(convolution_bias_gradient_kernel<Step>,
           {.grid = static_cast<unsigned>(bias.value.size),
            .block = reduction_block,
            .shared_bytes = sizeof(BlockSumStorage<1>),
            .stream = stream_,
            .name = "convolution_bias_gradient_adam",
            .work = {4.0 * dz.size() + 24.0 * bias.value.size, 1.0 * dz.size()}},
           Step{bias, adam}, dz.data, bias.value.size, shape.out().plane(), dz.rows);
}

} // namespace patchforge::cuda
