// Weights' gradients of one picture with few positions: a product of matrices that writes each weight once,
// where it belongs. Columns are what a window sees at a position: a number for each channel and tap.
#include <algorithm>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

// Channels of the large map that are a task.
constexpr std::int64_t channels_of_task = 16;

// Calls body(tap, position, at) wherever a tap of the window meets an element of the large map, at `at`.
template <class Body>
void for_each_meeting(const ConvolutionWindow& w, const Body& body) {
    for (int a = 0; a < w.kernel_height; ++a) {
        for (int b = 0; b < w.kernel_width; ++b) {
            for (int r = 0; r < w.small.height; ++r) {
                const int row = r * w.stride - w.padding + a * w.dilation;
                for (int c = 0; c < w.small.width; ++c) {
                    const int column = c * w.stride - w.padding + b * w.dilation;
                    if (row >= 0 && row < w.large.height && column >= 0 && column < w.large.width) {
                        body(a * w.kernel_width + b, r * w.small.width + c,
                             row * w.large.width + column);
                    }
                }
            }
        }
    }
}

} // namespace

void CpuBackend::correlate_columns(const ConvolutionWindow& w, float* weight, const float* small,
                                   const float* large) {
    const std::int64_t taps = w.kernel_height * w.kernel_width;
    const std::int64_t positions = w.small.plane();
    const std::int64_t inputs = w.large.channels, outputs = w.small.channels;
    pool_.parallel_for(pieces(inputs, channels_of_task), [&](std::int64_t task) {
        const Share channels(inputs, channels_of_task, task);
        const std::int64_t count = channels.count * taps;
        const std::int64_t padded = pieces(count, vector_.lanes) * vector_.lanes;
        float* const columns = thread_scratch(positions * padded);
        std::fill_n(columns, positions * padded, 0.0f);
        for (std::int64_t i = 0; i < channels.count; ++i) {
            const float* const from = large + (channels.first + i) * w.large.plane();
            for_each_meeting(w, [&](std::int64_t tap, std::int64_t position, std::int64_t at) {
                columns[position * padded + i * taps + tap] = from[at];
            });
        }
        // A position plays a channel's part.
        const WindowSteps steps({{0, 0}}, 1, padded, positions);
        WindowSums sums = {
            .out = weight + channels.first * taps,
            .out_stride = inputs * taps,
            .x = columns,
            .channel_stride = padded,
            .weight = small,
            .weight_stride = positions,
            .weight_channel_stride = 1,
            .channels = positions,
            .rows = outputs,
            .count = count,
            .width = count,
            .pitch = count,
        };
        steps.put_into(sums);
        vector_.window_sums(sums);
    });
}

} // namespace patchforge
