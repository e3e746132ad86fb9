// Convolutional layers, the passes that make a map: forward and by the input (formulas in
// kernels/operations/convolution.h). 2 w positions operations a picture, 4 (w + inputs + outputs)
// bytes, 4 inputs more where the input's epilogue has a derivative.
//
// Predicted at 60 TFLOP/s, 3.0 TB/s: a float32 number pays for itself with 80 operations. 3 x 3 from 16 to 16
// channels does 144 for every number of both maps: its floor is arithmetic; from 3 to 16 it is 45: bytes.
//
//   more than 4 channels    tiles of a product (convolution_tile.h): 16 x 256, 32 x 128, 64 x 64 or
//                           128 x 128 (channels x pixels), so that a layer of 16 channels leaves none
//                           empty; split along k while there are fewer than multiprocessors. On tensor
//                           cores where the layer rounds.
//   up to 4 channels made   a thread a pixel with all its channels in registers: a tile of 16
//                           would be at least three quarters empty. Their weights come from shared memory, a
//                           number of the map serves four products.
//   depthwise, and windows  a thread an element, straight from the formula. Depthwise: as many operations
//   wider than 15 taps      as bytes, and L1 serves the taps.
//   one position that sees  is a linear layer (convolution_product.h)
//   all of the map
#include "kernels/cuda/convolution_product.h"
#include "kernels/cuda/convolution_tile.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/tensor_tile.h"

namespace patchforge::cuda {
namespace {

constexpr unsigned block = 256;
constexpr int most_classes = 16; // of a scatter by tiles: strides up to 4
constexpr int few_channels = 4;

// What becomes of a sum: bias and epilogue forward, the derivative of the epilogue below backward.
struct Finish {
    bool forward;
    const float* bias;  // null: none
    const float* below; // the epilogue's output; not read when it is the identity
    Epilogue epilogue;
};

class ElementFinish {
  public:
    __device__ explicit ElementFinish(const Finish& finish)
        : finish_(finish), of_element_(finish.epilogue) {}

    __device__ float operator()(float sum, int channel, std::int64_t element) const {
        if (finish_.forward) {
            return of_element_.apply(finish_.bias != nullptr ? sum + finish_.bias[channel] : sum,
                                     element);
        }
        return of_element_.is_identity()
                   ? sum
                   : sum * of_element_.derivative(finish_.below[element], element);
    }

  private:
    const Finish& finish_;
    ElementEpilogue of_element_;
};

// A map that is made from another.
struct MapArguments {
    float* made;
    const float* read;
    Extent made_extent, read_extent;
    KernelPlaces kernels;
    int tiles; // of pixels, of a class
    Finish finish;
    SplitWorkspace workspace;
    TapClass of[most_classes];
};

// The part of a block's class that is the block's: pixels from first_pixel on, one of `splits` parts of
// k. Classes have different numbers of taps, and each is split evenly.
struct BlockPart {
    const TapClass& of;
    int first_pixel;
    int begin, end;

    __device__ BlockPart(const MapArguments& arguments, int pixels, unsigned split, unsigned splits)
        : of(arguments.of[blockIdx.x / static_cast<unsigned>(arguments.tiles)]),
          first_pixel(static_cast<int>(blockIdx.x % static_cast<unsigned>(arguments.tiles)) *
                      pixels) {
        const int stages = (of.depth + tile_depth - 1) / tile_depth;
        const int length = (stages + static_cast<int>(splits) - 1) / static_cast<int>(splits);
        begin = min(static_cast<int>(split) * length * tile_depth, of.depth);
        end = min(begin + length * tile_depth, of.depth);
    }
    // Classes have different numbers of pixels.
    __device__ bool has_pixels() const { return first_pixel < of.pixels; }
};

// Grid: x over tiles of pixels, class by class; y over tiles of channels; z over splits of k.
template <class Product>
__global__ void __launch_bounds__(tile_threads, Product::resident_blocks)
    convolution_tile_kernel(MapArguments arguments) {
    begin_kernel();
    using A = typename Product::A;
    using B = typename Product::B;
    auto& storage = shared<typename Product::Storage>();

    const BlockPart part(arguments, B::size, blockIdx.z, gridDim.z);
    if (part.has_pixels()) {
        const int first_channel = static_cast<int>(blockIdx.y) * A::size;
        const int channels = arguments.kernels.results;
        const auto kernels = [&] {
            if constexpr (A::prepares) {
                return KernelSource{arguments.kernels, part.of, part.end};
            } else {
                return TileSource{arguments.kernels.weight, channels, arguments.kernels.of_result};
            }
        }();
        Product::template multiply<true>(storage, kernels, first_channel,
                                         {arguments.read, arguments.read_extent, part.of, part.end},
                                         part.first_pixel, part.begin, part.end,
                                         [](const typename A::Stage&) {});

        if (sum_tile_over_splits<B::size>(storage.result, arguments.workspace,
                                          blockIdx.y * gridDim.x + blockIdx.x, blockIdx.z,
                                          gridDim.z)) {
            __syncthreads(); // from here on a thread has the sums of one pixel
            const int own = static_cast<int>(threadIdx.x) % B::size;
            const int number = part.first_pixel + own;
            if (number < part.of.pixels) {
                const Pixel pixel(part.of, number);
                const std::int64_t plane = arguments.made_extent.plane();
                const std::int64_t first = pixel.picture * arguments.made_extent.size() +
                                           pixel.made(part.of, arguments.made_extent.width);
                const ElementFinish finish(arguments.finish);
                PATCHFORGE_NO_UNROLL
                for (int row = static_cast<int>(threadIdx.x) / B::size; row < A::size;
                     row += static_cast<int>(tile_threads) / B::size) {
                    const int channel = first_channel + row;
                    if (channel < channels) {
                        const std::int64_t element = first + channel * plane;
                        arguments.made[element] =
                            finish(storage.result[row][own], channel, element);
                    }
                }
            }
        }
    }
}

struct alignas(16) FewChannelsStorage {
    static constexpr int steps = 256;
    WindowTap tap[steps];
    alignas(16) float weight[steps][few_channels];
};

// Up to four channels. Grid: x over groups of 256 pixels, class by class; y over splits of k.
__global__ void __launch_bounds__(block) convolution_few_channels_kernel(MapArguments arguments) {
    begin_kernel();
    auto& storage = shared<FewChannelsStorage>();
    const KernelPlaces& kernels = arguments.kernels;

    const BlockPart part(arguments, block, blockIdx.y, gridDim.y);
    if (part.has_pixels()) {
        const int number = part.first_pixel + static_cast<int>(threadIdx.x);
        const Pixel pixel(part.of, min(number, part.of.pixels - 1));
        const WindowPlace window(arguments.read, arguments.read_extent, part.of, pixel);
        float sum[few_channels] = {};
        for (int begin = part.begin; begin < part.end; begin += FewChannelsStorage::steps) {
            const int steps = min(FewChannelsStorage::steps, part.end - begin);
            __syncthreads(); // the steps before have been read
            const int k = begin + static_cast<int>(threadIdx.x);
            const bool there = static_cast<int>(threadIdx.x) < steps;
            const KernelPlaces::Tap tap = there ? kernels.tap(part.of, k) : KernelPlaces::Tap{};
            storage.tap[threadIdx.x] = there ? window_tap(part.of, arguments.read_extent, k)
                                             : WindowTap{0, WindowTap::nothing};
            PATCHFORGE_UNROLL
            for (int m = 0; m < few_channels; ++m) {
                const float* const from = kernels.of_channel(m) + tap.offset;
                storage.weight[threadIdx.x][m] = !there || m >= kernels.results ? 0.0f
                                                 : kernels.folded ? folded_weight(from, tap.folded)
                                                                  : *from;
            }
            __syncthreads();
            for (int first = 0; first < steps; first += 4) {
                PATCHFORGE_UNROLL
                for (int step = first; step < first + 4; ++step) {
                    const WindowTap window_step = storage.tap[step];
                    const bool inside = (window.mask & window_step.needs) == window_step.needs;
                    const float x = inside ? window.first[window_step.offset] : 0.0f;
                    float weight[few_channels];
                    load_shared(weight, storage.weight[step]);
                    PATCHFORGE_UNROLL
                    for (int m = 0; m < few_channels; ++m) {
                        sum[m] = fmaf(weight[m], x, sum[m]);
                    }
                }
            }
        }
        if (sum_over_splits(sum, arguments.workspace, blockIdx.x, blockIdx.y, gridDim.y) &&
            number < part.of.pixels) {
            const std::int64_t first = pixel.picture * arguments.made_extent.size() +
                                       pixel.made(part.of, arguments.made_extent.width);
            const ElementFinish finish(arguments.finish);
            PATCHFORGE_UNROLL
            for (int m = 0; m < few_channels; ++m) {
                if (m < kernels.results) {
                    const std::int64_t element = first + m * arguments.made_extent.plane();
                    arguments.made[element] = finish(sum[m], m, element);
                }
            }
        }
    }
}

// Any layer but an upsampled one, a thread an element.
struct DirectArguments {
    float* made;
    const float* read;
    const float* weight; // [small channels, large channels / groups, lines, columns]
    ConvolutionWindow window;
    Precision precision;
    Finish finish;
    std::int64_t elements; // that are made

    __device__ float product(int small, int large, int tap, float value) const {
        const std::int64_t pair =
            std::int64_t{small} * (window.large.channels / window.groups) + large;
        const float factor = weight[pair * window.kernel_height * window.kernel_width + tap];
        return rounded(factor, precision) * rounded(value, precision);
    }
};

// The element that a thread makes.
struct DirectElement {
    std::int64_t number;
    int channel, line, column;
    std::int64_t picture;

    __device__ explicit DirectElement(const Extent& made)
        : number(std::int64_t{blockIdx.x} * block + threadIdx.x),
          channel(static_cast<int>(number / made.plane() % made.channels)),
          line(static_cast<int>(number / made.width % made.height)),
          column(static_cast<int>(number % made.width)), picture(number / made.size()) {}
};

__global__ void __launch_bounds__(block) convolution_gather_kernel(DirectArguments arguments) {
    begin_kernel();
    const ConvolutionWindow& w = arguments.window;
    const DirectElement made(w.small);
    if (made.number < arguments.elements) {
        const bool depthwise = w.groups > 1;
        const float* const picture = arguments.read + made.picture * w.large.size();
        float sum = 0.0f;
        for (int i = 0; i < (depthwise ? 1 : w.large.channels); ++i) {
            const float* const map = picture + (depthwise ? made.channel : i) * w.large.plane();
            for (int a = 0; a < w.kernel_height; ++a) {
                const int j = made.line * w.stride - w.padding + a * w.dilation;
                for (int b = 0; b < w.kernel_width; ++b) {
                    const int k = made.column * w.stride - w.padding + b * w.dilation;
                    if (j >= 0 && j < w.large.height && k >= 0 && k < w.large.width) {
                        sum += arguments.product(made.channel, i, a * w.kernel_width + b,
                                                 map[std::int64_t{j} * w.large.width + k]);
                    }
                }
            }
        }
        arguments.made[made.number] =
            ElementFinish(arguments.finish)(sum, made.channel, made.number);
    }
}

__global__ void __launch_bounds__(block) convolution_scatter_kernel(DirectArguments arguments) {
    begin_kernel();
    const ConvolutionWindow& w = arguments.window;
    const DirectElement made(w.large);
    if (made.number < arguments.elements) {
        const bool depthwise = w.groups > 1;
        const float* const picture = arguments.read + made.picture * w.small.size();
        float sum = 0.0f;
        for (int o = 0; o < (depthwise ? 1 : w.small.channels); ++o) {
            const int from = depthwise ? made.channel : o;
            const float* const map = picture + from * w.small.plane();
            for (int a = 0; a < w.kernel_height; ++a) {
                const int r = made.line + w.padding - a * w.dilation; // times the stride
                for (int b = 0; b < w.kernel_width; ++b) {
                    const int c = made.column + w.padding - b * w.dilation;
                    if (r >= 0 && r % w.stride == 0 && r / w.stride < w.small.height && c >= 0 &&
                        c % w.stride == 0 && c / w.stride < w.small.width) {
                        sum += arguments.product(
                            from, depthwise ? 0 : made.channel, a * w.kernel_width + b,
                            map[std::int64_t{r / w.stride} * w.small.width + c / w.stride]);
                    }
                }
            }
        }
        arguments.made[made.number] =
            ElementFinish(arguments.finish)(sum, made.channel, made.number);
    }
}

// The product of a tile of channels x pixels.
template <Precision precision, template <int> class Kernels, int channels, int pixels>
using MapProduct =
    std::conditional_t<precision == Precision::float32,
                       TileProduct<Kernels<channels>, WindowsByExtent<pixels>>,
                       TensorProduct<precision, Kernels<channels>, WindowsByExtent<pixels>>>;

template <class Product>
void launch_tiles(LaunchShape shape, MapArguments arguments, unsigned classes, int pixels,
                  int depth) {
    arguments.tiles = static_cast<int>(blocks_for(pixels, Product::B::size));
    const dim3 tiles = {static_cast<unsigned>(arguments.tiles) * classes,
                        blocks_for(arguments.kernels.results, Product::A::size)};
    const SplitPlan plan =
        plan_splits(depth, std::int64_t{tiles.x} * tiles.y, least_split_depth, tile_depth);
    shape.grid = {tiles.x, tiles.y, plan.splits > 0 ? plan.splits : 1};
    shape.splits = plan.splits;
    shape.shared_bytes = sizeof(typename Product::Storage);
    shape.resident_blocks = Product::resident_blocks;
    launch(convolution_tile_kernel<Product>, shape, arguments);
}

template <Precision precision, template <int> class Kernels>
void launch_tiles(const LaunchShape& shape, const MapArguments& arguments, unsigned classes,
                  int pixels, int depth) {
    const int channels = arguments.kernels.results;
    if (channels <= 16) {
        launch_tiles<MapProduct<precision, Kernels, 16, 256>>(shape, arguments, classes, pixels,
                                                              depth);
    } else if (channels <= 32) {
        launch_tiles<MapProduct<precision, Kernels, 32, 128>>(shape, arguments, classes, pixels,
                                                              depth);
    } else if (tile_side(channels, std::int64_t{pixels} * classes, true) == 64) {
        launch_tiles<MapProduct<precision, Kernels, 64, 64>>(shape, arguments, classes, pixels,
                                                             depth);
    } else {
        launch_tiles<MapProduct<precision, Kernels, 128, 128>>(shape, arguments, classes, pixels,
                                                               depth);
    }
}

void launch_few_channels(LaunchShape shape, MapArguments arguments, unsigned classes, int pixels,
                         int depth) {
    arguments.tiles = static_cast<int>(blocks_for(pixels, block));
    const unsigned tiles = static_cast<unsigned>(arguments.tiles) * classes;
    const SplitPlan plan = plan_splits(depth, tiles, 64, 16);
    shape.grid = {tiles, plan.splits > 0 ? plan.splits : 1};
    shape.splits = plan.splits;
    shape.shared_bytes = sizeof(FewChannelsStorage);
    launch(convolution_few_channels_kernel, shape, arguments);
}

// Whether tiles take such a window.
bool masked(const ConvolutionWindow& w, bool gathers) {
    return w.groups == 1 && w.kernel_height <= most_masked_taps &&
           w.kernel_width <= most_masked_taps && (gathers || w.stride * w.stride <= most_classes);
}

// made = finish(gather or scatter of read) for all rows.
void launch_map(const LaunchShape& shape, bool gathers, float* made, const float* read,
                const float* weight, const ConvolutionShape& layer, std::int64_t rows,
                Precision precision, const Finish& finish, SplitWorkspace workspace) {
    const ConvolutionWindow w = convolution_window(layer);
    if (!masked(w, gathers)) {
        const std::int64_t elements = rows * (gathers ? w.small : w.large).size();
        LaunchShape direct = shape;
        direct.grid = blocks_for(elements, block);
        launch(gathers ? convolution_gather_kernel : convolution_scatter_kernel, direct,
               DirectArguments{made, read, weight, w, precision, finish, elements});
        return;
    }
    const Extent& made_extent = gathers ? w.small : w.large;
    const Extent& read_extent = gathers ? w.large : w.small;
    const bool folded = layer.kind == ConvolutionKind::upsampled;
    const int kernel = folded ? 9 : w.kernel_height * w.kernel_width;
    // Weights lie as [small, large], folded ones as [large, small].
    const int by_large = folded ? w.small.channels * kernel : kernel;
    const int by_small = folded ? kernel : w.large.channels * kernel;
    MapArguments arguments = {made,
                              read,
                              made_extent,
                              read_extent,
                              {weight, gathers ? by_small : by_large, gathers ? by_large : by_small,
                               w.kernel_width, made_extent.channels, folded},
                              0,
                              finish,
                              workspace,
                              {}};
    unsigned classes = 0;
    int pixels = 0, depth = 0; // most of a class
    const int across = gathers ? 1 : w.stride;
    for (int line = 0; line < across && line < made_extent.height; ++line) {
        for (int column = 0; column < across && column < made_extent.width; ++column) {
            TapClass& of = arguments.of[classes++];
            of.line = gathers ? gather_taps(w, made_extent.height, w.kernel_height)
                              : scatter_taps(w, made_extent.height, w.kernel_height, line);
            of.column = gathers ? gather_taps(w, made_extent.width, w.kernel_width)
                                : scatter_taps(w, made_extent.width, w.kernel_width, column);
            const int taps = of.line.taps * of.column.taps;
            of.pixels = static_cast<int>(rows * of.line.results * of.column.results);
            of.depth = read_extent.channels * taps;
            if (taps > 0) {
                of.taps = Divisor(static_cast<unsigned>(taps));
                of.column_taps = Divisor(static_cast<unsigned>(of.column.taps));
            }
            pixels = std::max(pixels, of.pixels);
            depth = std::max(depth, of.depth);
        }
    }
    if (made_extent.channels <= few_channels) {
        launch_few_channels(shape, arguments, classes, pixels, depth);
        return;
    }
    with_precision(precision, [&](auto constant) {
        // Rows of weights that take copies of 16 bytes are those of a gather.
        if (gathers && !folded && quad_access(arguments.kernels.of_result, {weight})) {
            launch_tiles<decltype(constant)::value, ByDepth>(shape, arguments, classes, pixels,
                                                             depth);
        } else {
            launch_tiles<decltype(constant)::value, KernelsByDepth>(shape, arguments, classes,
                                                                    pixels, depth);
        }
    });
}

} // namespace

void CudaBackend::convolution_forward(Matrix<float> y, Matrix<const float> x,
                                      Vector<const float> weight, Vector<const float> bias,
                                      const Epilogue& epilogue, const ConvolutionShape& shape) {
    if (is_linear(shape, y.rows, precision_)) {
        linear_convolution_forward(*this, stream_, y, x, weight, bias, epilogue, shape);
        return;
    }
    launch_map({.stream = stream_,
                .name = "convolution_forward",
                .work = {4.0 * (y.size() + x.size() + static_cast<double>(weight.size + bias.size)),
                         shape.operations(y.rows)}},
               shape.kind == ConvolutionKind::convolution, y.data, x.data, weight.data, shape,
               y.rows, shape.rounds(y.rows) ? precision_ : Precision::float32,
               Finish{true, bias.data_or_null(), nullptr, epilogue}, workspace_);
}

void CudaBackend::convolution_input_gradient(Matrix<float> dx, Matrix<const float> dz,
                                             Vector<const float> weight, Matrix<const float> x,
                                             const Epilogue& previous,
                                             const ConvolutionShape& shape) {
    if (is_linear(shape, dx.rows, precision_)) {
        linear_convolution_input_gradient(*this, dx, dz, weight, x, previous, shape);
        return;
    }
    launch_map({.stream = stream_,
                .name = "convolution_input_gradient",
                .work = {4.0 * ((previous.is_identity() ? 1 : 2) * dx.size() + dz.size() +
                                static_cast<double>(weight.size)),
                         shape.operations(dx.rows)}},
               shape.kind != ConvolutionKind::convolution, dx.data, dz.data, weight.data, shape,
               dx.rows, shape.rounds(dx.rows) ? precision_ : Precision::float32,
               Finish{false, nullptr, x.data, previous}, workspace_);
}

} // namespace patchforge::cuda
