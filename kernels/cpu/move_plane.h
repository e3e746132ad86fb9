// Planes moved as a whole: what padding, cropping, turning and augmentation have in common.
#pragma once

#include <algorithm>

#include "kernels/extent.h"

namespace patchforge {

// y[i, j] = x[i - down, j - right], 0 where that lies outside.
inline void shift_plane(float* y, Extent to, const float* x, Extent from, int down, int right) {
    const int left = std::clamp(right, 0, to.width);
    const int end = std::clamp(from.width + right, left, to.width);
    for (int i = 0; i < to.height; ++i) {
        float* const line = y + std::int64_t{i} * to.width;
        const int row = i - down;
        if (row < 0 || row >= from.height) {
            std::fill_n(line, to.width, 0.0f);
            continue;
        }
        const float* const source = x + std::int64_t{row} * from.width - right;
        std::fill(line, line + left, 0.0f);
        std::copy(source + left, source + end, line + left);
        std::fill(line + end, line + to.width, 0.0f);
    }
}

// Of a plane of x as `from` says; turn as in kernels/resample.h.
inline void turn_plane(float* y, const float* x, Extent from, int turn) {
    const int height = turn & 4 ? from.width : from.height;
    const int width = turn & 4 ? from.height : from.width;
    const std::int64_t down = turn & 2 ? -from.width : from.width;
    const std::int64_t right = turn & 1 ? -1 : 1;
    const float* const first =
        x + (turn & 2 ? (from.height - 1) * from.width : 0) + (turn & 1 ? from.width - 1 : 0);
    for (int i = 0; i < height; ++i) {
        for (int j = 0; j < width; ++j) {
            y[std::int64_t{i} * width + j] =
                first[turn & 4 ? j * down + i * right : i * down + j * right];
        }
    }
}

} // namespace patchforge
