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
#include "kernels/cuda/convolution_product.h"
#include "kernels/cuda/convolution_tile.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/tensor_tile.h"
#include "kernels/cuda/weight_update.h"

namespace patchforge::cuda {
namespace {

// The positions of a window and the map under it.
struct CorrelateReading {
    const float* small_map;
    const float* large_map;
    Extent small, large;
    TapClass of;                          // all positions
    Divisor positions, positions_of_line; // of a picture, of a line
    Divisor dilation;
    int weights_of_channel; // n: large channels times taps
};

// small(m, k): a channel's positions lie beside each other.
template <int extent>
struct MapsByDepth : ByDepth<extent> {
    using Source = CorrelateReading;
    static constexpr bool prepares = false;

    class Window {
      public:
        __device__ Window(const Source& source, int first, int k)
            : source_(source), position_(k + static_cast<int>(threadIdx.x) % tile_depth),
              first_(first + static_cast<int>(threadIdx.x) / tile_depth) {}

        template <bool vectors>
        __device__ void copy_next(typename ByDepth<extent>::Stage& stage, int depth_left) {
            const int k = static_cast<int>(threadIdx.x) % tile_depth;
            const int row = static_cast<int>(threadIdx.x) / tile_depth;
            const int picture = source_.positions.quotient(position_);
            const int plane = source_.small.height * source_.small.width;
            const float* const from = source_.small_map + picture * source_.small.size() +
                                      static_cast<std::int64_t>(first_) * plane +
                                      source_.positions.rest(position_, picture);
            const int rows_left = k < depth_left ? source_.small.channels - first_ : 0;
            PATCHFORGE_UNROLL
            for (int passed = 0; passed < extent; passed += rows_at_once) {
                cp_async4(&stage.value[passed + row][k],
                          from + static_cast<std::int64_t>(passed) * plane,
                          passed < rows_left ? 4 : 0);
            }
            position_ += tile_depth;
        }

      private:
        static constexpr int rows_at_once = static_cast<int>(tile_threads) / tile_depth;

        const Source& source_;
        int position_; // the thread's, in the next stage
        int first_;    // channel that it copies
    };
};

// Bits of the taps a with 0 <= first + dilation a < size: those from ceil(-first / dilation) on, up to
// before ceil((size - first) / dilation).
__device__ inline unsigned taps_inside(int first, const Divisor& dilation, int step, int taps,
                                       int size) {
    const int from = first >= 0 ? 0 : dilation.quotient(step - 1 - first);
    const int to = size <= first ? 0 : dilation.quotient(size - first + step - 1);
    return ((1u << min(to, taps)) - 1) & ~((1u << min(from, taps)) - 1);
}

// windows(n, k). `tap` has an entry for every n of the tile.
struct CorrelateWindows {
    const CorrelateReading& reading;
    const WindowTap* tap;
};

template <int extent>
struct WindowsByDepth : ByDepth<extent> {
    using Source = CorrelateWindows;
    static constexpr bool prepares = false;

    class Window {
      public:
        __device__ Window(const Source& source, int, int k)
            : source_(source), position_(k + static_cast<int>(threadIdx.x) % tile_depth) {}

        template <bool vectors>
        __device__ void copy_next(typename ByDepth<extent>::Stage& stage, int depth_left) {
            const CorrelateReading& reading = source_.reading;
            const AxisTaps& lines = reading.of.line;
            const AxisTaps& columns = reading.of.column;
            const int k = static_cast<int>(threadIdx.x) % tile_depth;
            const int row = static_cast<int>(threadIdx.x) / tile_depth;
            const int picture = reading.positions.quotient(position_);
            const int of_picture = reading.positions.rest(position_, picture);
            const int small_line = reading.positions_of_line.quotient(of_picture);
            const int line = lines.stride * small_line + lines.offset;
            const int column =
                columns.stride * reading.positions_of_line.rest(of_picture, small_line) +
                columns.offset;
            const float* const first = reading.large_map + picture * reading.large.size() +
                                       line * reading.large.width + column;
            const unsigned mask = k < depth_left
                                      ? mask_of(taps_inside(line, reading.dilation, lines.step,
                                                            lines.taps, reading.large.height),
                                                taps_inside(column, reading.dilation, columns.step,
                                                            columns.taps, reading.large.width))
                                      : 0;
            PATCHFORGE_UNROLL
            for (int passed = 0; passed < extent; passed += rows_at_once) {
                const WindowTap tap = source_.tap[passed + row];
                cp_async4(&stage.value[passed + row][k], first + tap.offset,
                          (mask & tap.needs) == tap.needs ? 4 : 0);
            }
            position_ += tile_depth;
        }

      private:
        static constexpr int rows_at_once = static_cast<int>(tile_threads) / tile_depth;

        Source source_;
        int position_;
    };
};

template <class Update>
struct CorrelateArguments {
    CorrelateReading reading;
    int depth;        // positions in all pictures
    int split_length; // of them
    bool folded;
    bool quads; // the weights take 16-byte accesses
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
    Product::template multiply<true>(storage.product, reading, first_m, {reading, storage.tap},
                                     first_n, begin, end, [](const typename A::Stage&) {});

    if (sum_tile_over_splits<B::size>(storage.product.result, arguments.workspace,
                                      blockIdx.y * gridDim.x + blockIdx.x, blockIdx.z, gridDim.z)) {
        const typename Update::Thread update(arguments.update);
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
    shape.shared_bytes = sizeof(CorrelateStorage<Product>);
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

// d_weight, handed to `update`.
template <class Update>
void launch_weight_gradient(LaunchShape shape, Matrix<const float> dz, Matrix<const float> x,
                            const ConvolutionShape& layer, bool quads, Precision precision,
                            const Update& update, SplitWorkspace workspace) {
    const bool large_is_x = layer.kind == ConvolutionKind::convolution;
    const float* const small_map = large_is_x ? dz.data : x.data;
    const float* const large_map = large_is_x ? x.data : dz.data;
    const ConvolutionWindow w = convolution_window(layer);
    const int taps = w.kernel_height * w.kernel_width;
    if (w.groups > 1 || w.kernel_height > most_masked_taps || w.kernel_width > most_masked_taps) {
        shape.grid = static_cast<unsigned>(layer.weights());
        shape.block = reduction_block;
        shape.shared_bytes = sizeof(BlockSumStorage<1>);
        launch(correlate_direct_kernel<Update>, shape,
               DirectArguments<Update>{small_map, large_map, w, precision, dz.rows, update});
    } else {
        CorrelateArguments<Update> arguments = {
            {small_map,
             large_map,
             w.small,
             w.large,
             {gather_taps(w, w.small.height, w.kernel_height),
              gather_taps(w, w.small.width, w.kernel_width), Divisor(static_cast<unsigned>(taps)),
              Divisor(static_cast<unsigned>(w.kernel_width)), 0, 0},
             Divisor(static_cast<unsigned>(w.small.plane())),
             Divisor(static_cast<unsigned>(w.small.width)),
             Divisor(static_cast<unsigned>(w.dilation)),
             w.large.channels * taps},
            static_cast<int>(dz.rows * w.small.plane()),
            0,
            layer.kind == ConvolutionKind::upsampled,
            quads && w.large.channels * taps % 4 == 0,
            update,
            workspace};
        with_precision(precision, [&](auto constant) {
            launch_correlate<decltype(constant)::value>(shape, arguments);
        });
    }
}

// d_bias, handed to `update`; name and bytes of its parameters are the launch's.
template <class Update>
void launch_bias_gradient(LaunchShape shape, Matrix<const float> dz, std::int64_t biases,
                          const Update& update, SplitWorkspace workspace) {
    if (biases == 0) {
        return;
    }
    const std::int64_t plane = dz.columns / biases, pixels = dz.rows * plane;
    const SplitPlan plan = plan_splits(pixels, biases, 2048, reduction_block);
    shape.grid = {static_cast<unsigned>(biases), plan.splits};
    shape.block = reduction_block;
    shape.shared_bytes = sizeof(BlockSumStorage<1>);
    shape.work.bytes += 4.0 * dz.size();
    shape.work.operations += 1.0 * dz.size();
    launch(convolution_bias_gradient_kernel<Update>, shape, update, dz.data, biases, plane, pixels,
           std::int64_t{plan.length}, workspace);
}

} // namespace

void CudaBackend::convolution_weight_gradient(Vector<float> d_weight, Vector<float> d_bias,
                                              Matrix<const float> dz, Matrix<const float> x,
                                              bool accumulate, const ConvolutionShape& shape) {
    const double stored = accumulate ? 8.0 : 4.0;
    const StoreGradient update{d_weight.data, d_bias.data_or_null(), accumulate};
    if (is_linear(shape, dz.rows, precision_)) {
        const bool bias_too = shape.kind == ConvolutionKind::convolution;
        linear_weight_gradient(matrix_of(d_weight, shape), bias_too ? d_bias : Vector<float>{},
                               bias_too ? dz : x, bias_too ? x : dz, accumulate);
        if (bias_too) {
            return;
        }
    } else {
        launch_weight_gradient(
            {.stream = stream_,
             .name = "convolution_weight_gradient",
             .work = {4.0 * (dz.size() + x.size()) + stored * static_cast<double>(d_weight.size),
                      shape.operations(dz.rows)}},
            dz, x, shape, quad_access(0, {d_weight.data}),
            shape.rounds(dz.rows) ? precision_ : Precision::float32, update, workspace_);
    }
    launch_bias_gradient({.stream = stream_,
                          .name = "convolution_bias_gradient",
                          .work = {stored * static_cast<double>(d_bias.size), 0.0}},
                         dz, d_bias.size, update, workspace_);
}

void CudaBackend::convolution_weight_gradient_adam(AdamTensor weight, AdamTensor bias,
                                                   Matrix<const float> dz, Matrix<const float> x,
                                                   const Adam& adam,
                                                   const ConvolutionShape& shape) {
    const auto weights = static_cast<double>(weight.value.size);
    const AdamStep update{weight, bias, adam};
    if (is_linear(shape, dz.rows, precision_)) {
        const bool bias_too = shape.kind == ConvolutionKind::convolution;
        linear_weight_gradient_adam(weight, bias_too ? bias : AdamTensor{}, bias_too ? dz : x,
                                    bias_too ? x : dz, adam);
        if (bias_too) {
            return;
        }
    } else {
        launch_weight_gradient({.stream = stream_,
                                .name = "convolution_weight_gradient_adam",
                                .work = {4.0 * (dz.size() + x.size()) + 24.0 * weights,
                                         shape.operations(dz.rows) + 12.0 * weights}},
                               dz, x, shape,
                               quad_access(0, {weight.value.data, weight.first_moment.data,
                                               weight.second_moment.data}),
                               shape.rounds(dz.rows) ? precision_ : Precision::float32, update,
                               workspace_);
    }
    launch_bias_gradient({.stream = stream_,
                          .name = "convolution_bias_gradient_adam",
                          .work = {24.0 * static_cast<double>(bias.value.size), 0.0}},
                         dz, bias.value.size, update, workspace_);
}

} // namespace patchforge::cuda
