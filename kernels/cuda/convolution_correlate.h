// The operands of a convolution's weight gradient (convolution_weight_gradient.cu) on their way through
// shared memory: both have their neighbours along k, the positions of the window.
#pragma once

#include "kernels/cuda/convolution_tile.h"

namespace patchforge::cuda {

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

} // namespace patchforge::cuda
