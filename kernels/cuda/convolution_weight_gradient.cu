// Convolutional layers, the gradient by the weights and the bias (kernels/operations/convolution.h), stored
// or handed straight to Adam: 2 w positions operations a picture, 4 (inputs + outputs) bytes, and 4 a
// weight stored (8 when accumulating) or 24 with Adam.
//
// What kernels/convolution_shape.h calls correlate is a product that is as deep as there are positions
// in all pictures, 10 000 for 16 maps of 25 x 25, and has few results:
//
//     weights (m, n) = sum over k of small(m, k) windows(n, k)
//
//     m    channel of the small map
//     n    channel of the large map, line and column of the kernel: as the weights lie in memory
//     k    position, over all pictures
//
// Tiles of it (matrix_tile.h), the shape of least padding, split along k until the device is full and
// added up in a fixed order (split_sum.h). Both operands have their neighbours along k and come float by
// float, asynchronously (convolution_tile.h): a thread copies one position of a stage and works out its
// place and its mask of taps once; what distinguishes the taps is a table that lasts for the kernel.
//
// An upsampled layer's tile holds whole kernels of 4 x 4, which are folded back into 3 x 3 before they
// are stored. Depthwise layers, which have no product of matrices, take a block a weight.
#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/convolution_correlate.h"
#include "kernels/cuda/convolution_product.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/tensor_tile.h"
#include "kernels/cuda/weight_update.h"

namespace patchforge::cuda {
namespace {

template <class Update>
struct CorrelateArguments {
    CorrelateReading reading;
    int depth;        // positions in all pictures
    int split_length; // of them
    bool folded;
    bool sums_bias; // the small map is dz
    bool quads;     // the weights take 16-byte accesses
    Update update;
    SplitWorkspace workspace;
};

template <class Product>
struct CorrelateStorage {
    typename Product::Storage product;
    WindowTap tap[Product::B::size];
};

// The nine weights that sixteen folded ones are part of: along each axis weight a is in taps 2 - a and
// 3 - a.
__device__ inline void fold_back(float (&weight)[12], const float* folded) {
    PATCHFORGE_UNROLL
    for (int tap = 0; tap < 9; ++tap) {
        const float* const from = folded + (2 - tap / 3) * 4 + 2 - tap % 3;
        weight[tap] = from[0] + from[1] + from[4] + from[5];
    }
}

// Grid: x over tiles of n, y over tiles of m, z over splits of the positions.
template <class Product, class Update>
__global__ void __launch_bounds__(tile_threads, Product::resident_blocks)
    correlate_tile_kernel(CorrelateArguments<Update> arguments) {
    begin_kernel();
    using A = typename Product::A;
    using B = typename Product::B;
    auto& storage = shared<CorrelateStorage<Product>>();
    const CorrelateReading& reading = arguments.reading;

    const int first_m = static_cast<int>(blockIdx.y) * A::size;
    const int first_n = static_cast<int>(blockIdx.x) * B::size;
    if (threadIdx.x < B::size) {
        const int n = first_n + static_cast<int>(threadIdx.x);
        storage.tap[threadIdx.x] = n < reading.weights_of_channel
                                       ? window_tap(reading.of, reading.large, n)
                                       : WindowTap{0, WindowTap::nothing};
    }
    __syncthreads();
    const int begin = static_cast<int>(blockIdx.z) * arguments.split_length;
    const int end = min(begin + arguments.split_length, arguments.depth);
    const bool sums_bias =
        arguments.sums_bias && blockIdx.x == 0 && threadIdx.x < static_cast<unsigned>(A::size);
    float bias = 0.0f;
    Product::template multiply<true>(storage.product, reading, first_m, {reading, storage.tap},
                                     first_n, begin, end, [&](const typename A::Stage& dz) {
                                         if (sums_bias) {
                                             PATCHFORGE_UNROLL
                                             for (int k = 0; k < tile_depth; k += 4) {
                                                 float quad[4];
                                                 load_shared(quad, &dz.value[threadIdx.x][k]);
                                                 bias += quad[0] + quad[1] + (quad[2] + quad[3]);
                                             }
                                         }
                                     });

    if (sum_tile_over_splits<B::size>(storage.product.result, arguments.workspace,
                                      blockIdx.y * gridDim.x + blockIdx.x, blockIdx.z, gridDim.z,
                                      bias)) {
        const typename Update::Thread update(arguments.update);
        const int bias_channel = first_m + static_cast<int>(threadIdx.x);
        if (sums_bias && bias_channel < reading.small.channels) {
            update.finish_bias(bias, bias_channel);
        }
        typename Update::Thread::Quad quad;
        if (arguments.folded) {
            __syncthreads(); // a thread takes kernels of four other threads
            constexpr int kernels_of_row = B::size / 16;
            PATCHFORGE_NO_UNROLL
            for (int number = static_cast<int>(threadIdx.x); number < A::size * kernels_of_row;
                 number += tile_threads) {
                const int row = number / kernels_of_row;
                const int column = number % kernels_of_row * 16;
                const int channel = (first_n + column) / 16;
                if (first_m + row < reading.small.channels && channel < reading.large.channels) {
                    float gradient[12] = {};
                    fold_back(gradient, &storage.product.result[row][column]);
                    const std::int64_t first =
                        (static_cast<std::int64_t>(channel) * reading.small.channels + first_m +
                         row) *
                        9;
                    PATCHFORGE_UNROLL
                    for (int tap = 0; tap < 9; tap += 4) {
                        update.template begin<false>(quad, first + tap, 9 - tap);
                        update.template finish<false>(quad,
                                                      {gradient[tap], gradient[tap + 1],
                                                       gradient[tap + 2], gradient[tap + 3]},
                                                      first + tap, 9 - tap);
                    }
                }
            }
        } else {
            visit_quads<B::size>(
                storage.product.result, [&](int row, int column, float(&gradient)[4]) {
                    const int available = first_m + row < reading.small.channels
                                              ? reading.weights_of_channel - (first_n + column)
                                              : 0;
                    const std::int64_t first =
                        static_cast<std::int64_t>(first_m + row) * reading.weights_of_channel +
                        first_n + column;
                    if (arguments.quads) {
                        update.template begin<true>(quad, first, available);
                        update.template finish<true>(quad, gradient, first, available);
                    } else {
                        update.template begin<false>(quad, first, available);
                        update.template finish<false>(quad, gradient, first, available);
                    }
                });
        }
    }
}

// What no tile takes: depthwise layers, windows wider than 15 taps. A block a weight.
template <class Update>
struct DirectArguments {
    const float* small_map;
    const float* large_map;
    ConvolutionWindow window;
    Precision precision;
    std::int64_t rows;
    Update update;
};

template <class Update>
__global__ void __launch_bounds__(reduction_block)
    correlate_direct_kernel(DirectArguments<Update> arguments) {
    begin_kernel();
    auto& storage = shared<BlockSumStorage<1>>();
    const ConvolutionWindow& w = arguments.window;
    const int inputs = w.large.channels / w.groups;
    const int tap = static_cast<int>(blockIdx.x) % (w.kernel_height * w.kernel_width);
    const int pair = static_cast<int>(blockIdx.x) / (w.kernel_height * w.kernel_width);
    const int small_channel = pair / inputs;
    const int large_channel = w.groups > 1 ? small_channel : pair % inputs;
    const int a = tap / w.kernel_width * w.dilation - w.padding;
    const int b = tap % w.kernel_width * w.dilation - w.padding;
    const float* const from = arguments.small_map + small_channel * w.small.plane();
    const float* const to = arguments.large_map + large_channel * w.large.plane();
    double sum[1] = {0.0};
    for (std::int64_t e = threadIdx.x; e < arguments.rows * w.small.plane(); e += reduction_block) {
        const std::int64_t picture = e / w.small.plane();
        const int position = static_cast<int>(e % w.small.plane());
        const int j = position / w.small.width * w.stride + a;
        const int k = position % w.small.width * w.stride + b;
        if (j >= 0 && j < w.large.height && k >= 0 && k < w.large.width) {
            sum[0] += rounded(from[picture * w.small.size() + position], arguments.precision) *
                      rounded(to[picture * w.large.size() + std::int64_t{j} * w.large.width + k],
                              arguments.precision);
        }
    }
    sum_over_block(sum, storage);
    if (threadIdx.x == 0) {
        const typename Update::Thread update(arguments.update);
        typename Update::Thread::Quad quad;
        update.template begin<false>(quad, blockIdx.x, 1);
        update.template finish<false>(quad, {static_cast<float>(sum[0]), 0.0f, 0.0f, 0.0f},
                                      blockIdx.x, 1);
    }
}

// Grid: x over channels, y over splits of the pixels.
template <class Update>
__global__ void __launch_bounds__(reduction_block)
    convolution_bias_gradient_kernel(Update update, const float* dz, std::int64_t channels,
                                     std::int64_t plane, std::int64_t pixels,
                                     std::int64_t split_length, SplitWorkspace workspace) {
    begin_kernel();
    auto& storage = shared<BlockSumStorage<1>>();
    const std::int64_t begin = blockIdx.y * split_length;
    const std::int64_t end = begin + split_length < pixels ? begin + split_length : pixels;
    float of_thread[1] = {0.0f};
    for (std::int64_t e = begin + threadIdx.x; e < end; e += reduction_block) {
        of_thread[0] += dz[(e / plane * channels + blockIdx.x) * plane + e % plane];
    }
    if (sum_over_splits(of_thread, workspace, blockIdx.x, blockIdx.y, gridDim.y)) {
        double sum[1] = {of_thread[0]};
        sum_over_block(sum, storage);
        if (threadIdx.x == 0) {
            typename Update::Thread(update).finish_bias(static_cast<float>(sum[0]), blockIdx.x);
        }
    }
}

template <Precision precision, int m, int n>
using CorrelateProduct =
    std::conditional_t<precision == Precision::float32,
                       TileProduct<MapsByDepth<m>, WindowsByDepth<n>>,
                       TensorProduct<precision, MapsByDepth<m>, WindowsByDepth<n>>>;

template <class Product, class Update>
void launch_correlate(LaunchShape shape, CorrelateArguments<Update> arguments) {
    const dim3 tiles = {blocks_for(arguments.reading.weights_of_channel, Product::B::size),
                        blocks_for(arguments.reading.small.channels, Product::A::size)};
    const SplitPlan plan = plan_splits(arguments.depth, std::int64_t{tiles.x} * tiles.y,
                                       least_split_depth, tile_depth);
    arguments.split_length = plan.length;
    shape.grid = {tiles.x, tiles.y, plan.splits};
    shape.splits = plan.splits;
    shape.shared_bytes = sizeof(CorrelateStorage<Product>);
    shape.resident_blocks = Product::resident_blocks;
    launch(correlate_tile_kernel<Product, Update>, shape, arguments);
}

// Results of all tiles of m x n, those that there is no weight for among them.
std::int64_t padded(const CorrelateReading& reading, int m, int n) {
    return std::int64_t{blocks_for(reading.small.channels, m)} * m *
           blocks_for(reading.weights_of_channel, n) * n;
}

template <Precision precision, class Update>
void launch_correlate(const LaunchShape& shape, const CorrelateArguments<Update>& arguments) {
    const CorrelateReading& reading = arguments.reading;
    const std::int64_t square = padded(reading, 64, 64), flat = padded(reading, 32, 128),
                       flattest = padded(reading, 16, 256);
    if (flattest < flat && flattest < square) {
        launch_correlate<CorrelateProduct<precision, 16, 256>>(shape, arguments);
    } else if (flat < square) {
        launch_correlate<CorrelateProduct<precision, 32, 128>>(shape, arguments);
    } else {
        launch_correlate<CorrelateProduct<precision, 64, 64>>(shape, arguments);
    }
}

// What distinguishes a gradient that is stored from one that is handed to Adam.
template <class Update>
struct GradientLaunch {
    Update update;
    const char* of_weight; // names
    const char* of_bias;
    double bytes, operations; // a parameter
    std::int64_t biases;
    bool quads; // all that belongs to the weights starts at a multiple of 16 bytes
};

// By tiles. Sums the bias's gradient as well where the small map is dz.
template <class Update>
void launch_tiles(const GradientLaunch<Update>& gradient, LaunchShape shape, const float* small_map,
                  const float* large_map, const ConvolutionShape& layer, std::int64_t rows,
                  Precision precision, SplitWorkspace workspace) {
    const ConvolutionWindow w = convolution_window(layer);
    const int taps = w.kernel_height * w.kernel_width;
    const CorrelateReading reading = {small_map,
                                      large_map,
                                      w.small,
                                      w.large,
                                      {gather_taps(w, w.small.height, w.kernel_height),
                                       gather_taps(w, w.small.width, w.kernel_width),
                                       Divisor(static_cast<unsigned>(taps)),
                                       Divisor(static_cast<unsigned>(w.kernel_width)), 0, 0},
                                      Divisor(static_cast<unsigned>(w.small.plane())),
                                      Divisor(static_cast<unsigned>(w.small.width)),
                                      Divisor(static_cast<unsigned>(w.dilation)),
                                      w.large.channels * taps};
    const CorrelateArguments<Update> arguments = {
        reading,
        static_cast<int>(rows * w.small.plane()),
        0,
        layer.kind == ConvolutionKind::upsampled,
        layer.kind == ConvolutionKind::convolution && gradient.biases > 0,
        gradient.quads && reading.weights_of_channel % 4 == 0,
        gradient.update,
        workspace};
    with_precision(precision, [&](auto constant) {
        launch_correlate<decltype(constant)::value>(shape, arguments);
    });
}

// d_weight and d_bias, handed to gradient.update; d_weight unless it `is_done`.
template <class Update>
void launch_gradient(const GradientLaunch<Update>& gradient, const Stream& stream,
                     Matrix<const float> dz, Matrix<const float> x, const ConvolutionShape& layer,
                     bool is_done, Precision precision, SplitWorkspace workspace) {
    const ConvolutionWindow w = convolution_window(layer);
    const bool small_is_dz = layer.kind == ConvolutionKind::convolution;
    const bool tiles =
        w.groups == 1 && w.kernel_height <= most_masked_taps && w.kernel_width <= most_masked_taps;
    const auto biases = static_cast<double>(gradient.biases);
    const bool bias_too = tiles && small_is_dz && !is_done;
    if (!is_done) {
        const double parameters = static_cast<double>(layer.weights()) + (bias_too ? biases : 0.0);
        LaunchShape shape = {
            .stream = stream,
            .name = gradient.of_weight,
            .work = {4.0 * (dz.size() + x.size()) + gradient.bytes * parameters,
                     layer.operations(dz.rows) + gradient.operations * parameters}};
        const float* const small_map = small_is_dz ? dz.data : x.data;
        const float* const large_map = small_is_dz ? x.data : dz.data;
        if (tiles) {
            launch_tiles(gradient, shape, small_map, large_map, layer, dz.rows, precision,
                         workspace);
        } else {
            shape.grid = static_cast<unsigned>(layer.weights());
            shape.shared_bytes = sizeof(BlockSumStorage<1>);
            launch(correlate_direct_kernel<Update>, shape,
                   DirectArguments<Update>{small_map, large_map, w, precision, dz.rows,
                                           gradient.update});
        }
    }
    if (gradient.biases > 0 && !bias_too) {
        const std::int64_t plane = layer.out().plane(), pixels = dz.rows * plane;
        const SplitPlan plan = plan_splits(pixels, gradient.biases, 2048, reduction_block);
        launch(convolution_bias_gradient_kernel<Update>,
               {.grid = {static_cast<unsigned>(gradient.biases), plan.splits},
                .block = reduction_block,
                .shared_bytes = sizeof(BlockSumStorage<1>),
                .stream = stream,
                .name = gradient.of_bias,
                .work = {4.0 * dz.size() + gradient.bytes * biases,
                         1.0 * dz.size() + gradient.operations * biases},
                .splits = plan.splits},
               gradient.update, dz.data, gradient.biases, plane, pixels, std::int64_t{plan.length},
               workspace);
    }
}

} // namespace

void CudaBackend::convolution_weight_gradient(Vector<float> d_weight, Vector<float> d_bias,
                                              Matrix<const float> dz, Matrix<const float> x,
                                              bool accumulate, const ConvolutionShape& shape) {
    const bool linear = is_linear(shape, dz.rows, precision_);
    const bool gathers = shape.kind == ConvolutionKind::convolution;
    if (linear) {
        linear_weight_gradient(matrix_of(d_weight, shape), gathers ? d_bias : Vector<float>{},
                               gathers ? dz : x, gathers ? x : dz, accumulate);
    }
    if (!linear || !gathers) {
        const GradientLaunch<StoreGradient> gradient = {
            {d_weight.data, d_bias.data_or_null(), accumulate},
            "convolution_weight_gradient",
            "convolution_bias_gradient",
            accumulate ? 8.0 : 4.0,
            0.0,
            d_bias.size,
            quad_access(0, {d_weight.data})};
        launch_gradient(gradient, stream_, dz, x, shape, linear,
                        shape.rounds(dz.rows) ? precision_ : Precision::float32, workspace_);
    }
}

void CudaBackend::convolution_weight_gradient_adam(AdamTensor weight, AdamTensor bias,
                                                   Matrix<const float> dz, Matrix<const float> x,
                                                   const Adam& adam,
                                                   const ConvolutionShape& shape) {
    const bool linear = is_linear(shape, dz.rows, precision_);
    const bool gathers = shape.kind == ConvolutionKind::convolution;
    if (linear) {
        linear_weight_gradient_adam(weight, gathers ? bias : AdamTensor{}, gathers ? dz : x,
                                    gathers ? x : dz, adam);
    }
    if (!linear || !gathers) {
        const GradientLaunch<AdamStep> gradient = {
            {weight, bias, constants_of(adam)},
            "convolution_weight_gradient_adam",
            "convolution_bias_gradient_adam",
            24.0,
            12.0,
            bias.value.size,
            quad_access(0,
                        {weight.value.data, weight.first_moment.data, weight.second_moment.data})};
        launch_gradient(gradient, stream_, dz, x, shape, linear,
                        shape.rounds(dz.rows) ? precision_ : Precision::float32, workspace_);
    }
}

} // namespace patchforge::cuda
