// Convolution as a product of matrices (matrix_tile.h, tensor_tile.h) whose operands are read where
// they lie: nothing is unrolled into memory.
//
//     result (m, n) = sum over k of kernels(m, k) windows(n, k)
//
//     m    channel of the map that is made
//     n    pixel of that map, over all pictures: its neighbours are neighbours in memory
//     k    channel of the map that is read, line and column of the kernel
//
// Both passes of kernels/convolution_shape.h are this product. For gather a window is what it says. For
// scatter with stride s, the pixels of the large map fall into s x s classes by the remainders of line
// and column (s = 2: four parities), and within a class every pixel meets the same taps of the kernel,
// every s-th: each class is a convolution with stride 1 of its own, with a quarter of the taps, and no
// product with an inserted zero is worked out. What a class reads is an AxisTaps along each axis.
//
// Windows lie at any address, and what lies in the padding is not there: they are copied float by
// float, asynchronously, and zero-filled. That costs instructions, so that as much as possible is worked
// out once: a thread copies one pixel of its tile throughout, with a mask of the taps that are inside
// of its picture, and the 16 steps of a stage (offset in the map, bits of the mask that it takes) come
// from a table of which 16 threads work out one entry each, one iteration ahead. A float then takes six
// instructions: the entry, two for the mask, the address, the size, and the copy.
#pragma once

#include "kernels/convolution_shape.h"
#include "kernels/cuda/matrix_tile.h"

namespace patchforge::cuda {

// n / divisor for n < 2^31 in three instructions: (n + n multiplier / 2^32) / 2^shift, with the least
// shift for which 2^shift >= divisor (Granlund and Montgomery, "Division by Invariant Integers using
// Multiplication", 1994).
class Divisor {
  public:
    Divisor() = default;
    explicit Divisor(unsigned divisor) : divisor_(divisor) {
        while ((1ull << shift_) < divisor) {
            ++shift_;
        }
        multiplier_ =
            static_cast<unsigned>(((1ull << 32) * ((1ull << shift_) - divisor)) / divisor + 1);
    }
    __device__ int quotient(int n) const {
        const unsigned value = static_cast<unsigned>(n);
        return static_cast<int>((value + __umulhi(value, multiplier_)) >> shift_);
    }
    __device__ int rest(int n, int quotient) const {
        return n - quotient * static_cast<int>(divisor_);
    }

  private:
    unsigned divisor_ = 1, multiplier_ = 1, shift_ = 0;
};

// Along one axis: result number r lies on line first_result + every_result r of the map that is made; its
// tap number t is tap first_tap + every_tap t of the kernel and line stride r + offset + step t of the
// map that is read.
struct AxisTaps {
    int results = 0, first_result = 0, every_result = 1;
    int taps = 0, first_tap = 0, every_tap = 1;
    int stride = 1, offset = 0, step = 1;
};

inline AxisTaps gather_taps(const ConvolutionWindow& window, int results, int kernel) {
    return {.results = results,
            .taps = kernel,
            .stride = window.stride,
            .offset = -window.padding,
            .step = window.dilation};
}

// Of the lines that are `remainder` modulo the stride. Tap a reaches them if stride divides remainder +
// padding - dilation a: those a are stride / gcd(stride, dilation) apart.
inline AxisTaps scatter_taps(const ConvolutionWindow& window, int results, int kernel,
                             int remainder) {
    int common = window.stride;
    for (int other = window.dilation; other != 0;) {
        const int rest = common % other;
        common = other;
        other = rest;
    }
    AxisTaps axis = {.results = (results - remainder + window.stride - 1) / window.stride,
                     .first_result = remainder,
                     .every_result = window.stride,
                     .every_tap = window.stride / common,
                     .step = -(window.dilation / common)};
    for (int first = 0; first < kernel && first < axis.every_tap; ++first) {
        const int distance = remainder + window.padding - window.dilation * first;
        if (distance % window.stride == 0) {
            axis.first_tap = first;
            axis.taps = (kernel - first + axis.every_tap - 1) / axis.every_tap;
            axis.offset = distance / window.stride;
        }
    }
    return axis;
}

// A class of pixels and the taps that it meets.
struct TapClass {
    AxisTaps line, column;
    Divisor taps, column_taps; // of all, and along a line
    int pixels = 0;            // results in all pictures
    int depth = 0;             // steps of k
};

// Tap number `tap` of a 3 x 3 kernel folded to 4 x 4: along each axis the taps 2; 1, 2; 0, 1; 0. Lines
// first.
__device__ inline float folded_weight(const float* of, int tap) {
    const int a = tap / 4, b = tap % 4;
    const int first = a < 2 ? 2 - a : 0, last = a == 0 ? 2 : 3 - a;
    const auto line = [&](int column) {
        return first < last ? of[first * 3 + column] + of[last * 3 + column]
                            : of[first * 3 + column];
    };
    const int left = b < 2 ? 2 - b : 0, right = b == 0 ? 2 : 3 - b;
    return left < right ? line(left) + line(right) : line(left);
}

// What step k of a product is: a channel and a tap along each axis.
struct Step {
    int channel, line, column;

    __device__ Step(const TapClass& of, int k)
        : channel(of.taps.quotient(k)), line(of.taps.rest(k, channel)),
          column(of.column_taps.quotient(line)) {
        const int along_line = of.column_taps.rest(line, column);
        line = column;
        column = along_line;
    }
};

// Where the kernels' weights lie: channel m of the result and a step of k have weight
// m of_result + channel of_read + line kernel_width + column.
struct KernelPlaces {
    const float* weight;
    int of_result, of_read;
    int kernel_width;
    int results; // channels
    bool folded; // of 3 x 3 weights, to be read as the 4 x 4 of an upsampled layer

    struct alignas(8) Tap {
        int offset;
        int folded; // number of the tap of 4 x 4
    };
    __device__ Tap tap(const TapClass& of, int k) const {
        const Step step(of, k);
        const int tap = (of.line.first_tap + of.line.every_tap * step.line) * kernel_width +
                        of.column.first_tap + of.column.every_tap * step.column;
        const int kernel = step.channel * of_read;
        return folded ? Tap{kernel, tap} : Tap{kernel + tap, 0};
    }
    __device__ const float* of_channel(int m) const {
        return weight + static_cast<std::int64_t>(m) * of_result;
    }
};

// A pixel that is made, by its number among those of its class.
struct Pixel {
    int picture, line, column; // the latter two in the class

    __device__ Pixel(const TapClass& of, int number)
        : picture(number / (of.line.results * of.column.results)),
          line(number / of.column.results % of.line.results), column(number % of.column.results) {}

    // Its place in a map whose lines are `width` long.
    __device__ std::int64_t made(const TapClass& of, int width) const {
        return static_cast<std::int64_t>(of.line.first_result + of.line.every_result * line) *
                   width +
               of.column.first_result + of.column.every_result * column;
    }
};

// Kernels have at most this many lines and columns: a mask has a bit for each, and one that is never set.
constexpr int most_masked_taps = 15;

// Bit t for each tap that lies inside of the map: 0 <= first + step t < size.
__device__ inline unsigned taps_inside(int first, int step, int taps, int size) {
    unsigned mask = 0;
    for (int t = 0; t < taps; ++t) {
        const int at = first + step * t;
        mask |= (at >= 0 && at < size ? 1u : 0u) << t;
    }
    return mask;
}

// A step's offset from a window's first element, and its two bits in the mask of a pixel. (All bits, of
// which no mask has the two highest: beyond the last step.)
struct alignas(8) WindowTap {
    int offset;
    unsigned needs;

    __device__ static unsigned bits(int line, int column) {
        return 1u << line | 0x10000u << column;
    }
    static constexpr unsigned nothing = ~0u;
};

__device__ inline unsigned mask_of(unsigned lines, unsigned columns) {
    return lines | columns << 16;
}

// A window's first element, which may lie outside of its map, and the mask of its taps.
struct WindowPlace {
    const float* first;
    unsigned mask;

    __device__ WindowPlace(const float* map, const Extent& read, const TapClass& of,
                           const Pixel& pixel) {
        const int line = of.line.stride * pixel.line + of.line.offset;
        const int column = of.column.stride * pixel.column + of.column.offset;
        first = map + pixel.picture * read.size() + static_cast<std::int64_t>(line) * read.width +
                column;
        mask = mask_of(taps_inside(line, of.line.step, of.line.taps, read.height),
                       taps_inside(column, of.column.step, of.column.taps, read.width));
    }
};

__device__ inline WindowTap window_tap(const TapClass& of, const Extent& read, int k) {
    const Step step(of, k);
    return {(step.channel * read.height + of.line.step * step.line) * read.width +
                of.column.step * step.column,
            WindowTap::bits(step.line, step.column)};
}

struct WindowSource {
    const float* map;
    const Extent& read;
    const TapClass& of;
    int depth_end;
};

template <int extent>
struct WindowsByExtent : ByExtent<extent> {
    using Source = WindowSource;
    static constexpr bool prepares = true;

    struct Stage : ByExtent<extent>::Stage {
        WindowTap tap[tile_depth];
    };

    class Window {
      public:
        __device__ Window(const Source& source, int first, int k)
            : source_(source), next_k_(k + static_cast<int>(threadIdx.x)), first_(source.map) {
            const int number = first + static_cast<int>(threadIdx.x) % extent;
            if (number < source.of.pixels) {
                const WindowPlace place(source.map, source.read, source.of,
                                        Pixel(source.of, number));
                first_ = place.first;
                mask_ = place.mask;
            }
        }

        __device__ void prepare(Stage& stage) {
            if (threadIdx.x < tile_depth) {
                stage.tap[threadIdx.x] = next_k_ < source_.depth_end
                                             ? window_tap(source_.of, source_.read, next_k_)
                                             : WindowTap{0, WindowTap::nothing};
            }
            next_k_ += tile_depth;
        }

        template <bool vectors>
        __device__ void copy_next(Stage& stage, int) const {
            const int row = static_cast<int>(threadIdx.x) / extent;
            const int column = static_cast<int>(threadIdx.x) % extent;
            PATCHFORGE_UNROLL
            for (int passed = 0; passed < tile_depth;
                 passed += static_cast<int>(tile_threads) / extent) {
                const WindowTap tap = stage.tap[passed + row];
                cp_async4(&stage.value[passed + row][column], first_ + tap.offset,
                          (mask_ & tap.needs) == tap.needs ? 4 : 0);
            }
        }

      private:
        Source source_;
        int next_k_;
        const float* first_;
        unsigned mask_ = 0;
    };
};

struct KernelSource {
    const KernelPlaces& kernels;
    const TapClass& of;
    int depth_end;
};

// Kernels whose steps of k are no neighbours in memory, or not aligned to 16 bytes, or have to be folded.
// (Those of a gather are neighbours: where they are aligned as well, ByDepth copies them.)
template <int extent>
struct KernelsByDepth : ByDepth<extent> {
    using Source = KernelSource;
    static constexpr bool prepares = true;

    using Tap = KernelPlaces::Tap;
    struct Stage : ByDepth<extent>::Stage {
        Tap tap[tile_depth];
    };

    class Window {
      public:
        __device__ Window(const Source& source, int first, int k)
            : source_(source), next_k_(k + static_cast<int>(threadIdx.x) - 32),
              row_(static_cast<int>(threadIdx.x) / tile_depth),
              rows_left_(source.kernels.results - first),
              own_(source.kernels.of_channel(first + row_)) {}

        // By the second warp: the first is busy with the windows' steps.
        __device__ void prepare(Stage& stage) {
            if (threadIdx.x / 32 == 1 && threadIdx.x % 32 < tile_depth) {
                stage.tap[threadIdx.x % 32] = next_k_ < source_.depth_end
                                                  ? source_.kernels.tap(source_.of, next_k_)
                                                  : Tap{-1, 0}; // beyond the last step
            }
            next_k_ += tile_depth;
        }

        template <bool vectors>
        __device__ void copy_next(Stage& stage, int) const {
            const int k = static_cast<int>(threadIdx.x) % tile_depth;
            const Tap tap = stage.tap[k];
            const auto for_each_row = [&](auto copy) {
                PATCHFORGE_UNROLL
                for (int passed = 0; passed < extent; passed += rows_at_once) {
                    copy(&stage.value[passed + row_][k],
                         own_ + (static_cast<std::int64_t>(passed) * source_.kernels.of_result +
                                 tap.offset),
                         tap.offset >= 0 && passed + row_ < rows_left_);
                }
            };
            if (source_.kernels.folded) {
                for_each_row([&](float* to, const float* from, bool there) {
                    *to = there ? folded_weight(from, tap.folded) : 0.0f;
                });
            } else {
                for_each_row([](float* to, const float* from, bool there) {
                    cp_async4(to, from, there ? 4 : 0);
                });
            }
        }

      private:
        static constexpr int rows_at_once = static_cast<int>(tile_threads) / tile_depth;

        Source source_;
        int next_k_;
        int row_, rows_left_;
        const float* own_;
    };
};

} // namespace patchforge::cuda
