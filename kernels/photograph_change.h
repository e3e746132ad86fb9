// The numbers of kernels/operations/photograph.h, for both backends.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/operations/photograph.h"

namespace patchforge {

// One axis: where a line of the photograph looks, and how it weighs the lines of the picture.
struct PhotographAxis {
    float zoom, middle, shift, radius;
    int size;

    PATCHFORGE_HOST_DEVICE float position(int line) const {
        const float at = (static_cast<float>(line) - middle) / zoom + middle - shift;
        return fminf(fmaxf(at, 0.0f), static_cast<float>(size - 1));
    }
    PATCHFORGE_HOST_DEVICE float weight(float position, int from) const {
        return fmaxf(0.0f, 1.0f - fabsf(position - static_cast<float>(from)) / radius);
    }
    // Lines beyond these have no weight.
    PATCHFORGE_HOST_DEVICE int first(float position) const {
        return clamped(ceilf(position - radius));
    }
    PATCHFORGE_HOST_DEVICE int last(float position) const {
        return clamped(floorf(position + radius));
    }
    // At least 1 / 2: a line is never further away than that, and the radius is at least 1.
    PATCHFORGE_HOST_DEVICE float total(float position) const {
        float sum = 0.0f;
        for (int from = first(position); from <= last(position); ++from) {
            sum += weight(position, from);
        }
        return sum;
    }
    // Lines of the photograph beyond these do not look at line `from`. Those near the edges are looked
    // at by all whose position was held inside. A line more on each side, for roundings.
    PATCHFORGE_HOST_DEVICE int first_reader(int from) const {
        const float at = static_cast<float>(from) - radius;
        return at < 0.0f ? 0 : clamped(floorf((at + shift - middle) * zoom + middle) - 1.0f);
    }
    PATCHFORGE_HOST_DEVICE int last_reader(int from) const {
        const float at = static_cast<float>(from) + radius;
        return at > static_cast<float>(size - 1)
                   ? size - 1
                   : clamped(ceilf((at + shift - middle) * zoom + middle) + 1.0f);
    }

  private:
    PATCHFORGE_HOST_DEVICE int clamped(float line) const {
        return static_cast<int>(fminf(fmaxf(line, 0.0f), static_cast<float>(size - 1)));
    }
};

struct PhotographChange {
    PhotographAxis down, right;
    float brightness;
};

// From the first five words of the picture.
PATCHFORGE_HOST_DEVICE inline PhotographChange
photograph_change(const Photograph& how, Extent extent, const std::uint32_t (&words)[8]) {
    float u[5] = {};
    for (int k = 0; k < 5; ++k) {
        u[k] = 2.0f * uniform_from_word(words[k]) - 1.0f;
    }
    const float zoom = 1.0f + how.scale * u[0], radius = 1.0f + how.blur * 0.5f * (1.0f + u[3]);
    const auto axis = [&](int size, float place) -> PhotographAxis {
        return {zoom, 0.5f * static_cast<float>(size - 1), how.shift * place, radius, size};
    };
    return {axis(extent.height, u[1]), axis(extent.width, u[2]), 1.0f + how.brightness * u[4]};
}

// The cosine transform of 8 numbers, orthonormal: F_u = sum of basis[u][j] f_j. And the steps of
// quality 50, by frequencies down and right.
struct BlockTables {
    float basis[8][8];
    std::uint8_t steps[8][8] = {
        {16, 11, 10, 16, 24, 40, 51, 61},     {12, 12, 14, 19, 26, 58, 60, 55},
        {14, 13, 16, 24, 40, 57, 69, 56},     {14, 17, 22, 29, 51, 87, 80, 62},
        {18, 22, 37, 56, 68, 109, 103, 77},   {24, 35, 55, 64, 81, 104, 113, 92},
        {49, 64, 78, 87, 103, 121, 120, 101}, {72, 92, 95, 98, 112, 100, 103, 99}};

    BlockTables() {
        for (int u = 0; u < 8; ++u) {
            for (int j = 0; j < 8; ++j) {
                basis[u][j] =
                    static_cast<float>((u == 0 ? std::sqrt(0.125) : 0.5) *
                                       std::cos((2 * j + 1) * u * 3.14159265358979323846 / 16));
            }
        }
    }
};

PATCHFORGE_HOST_DEVICE inline int block_quality(int lowest, std::uint32_t word) {
    return lowest +
           static_cast<int>(std::uint64_t{word} * static_cast<unsigned>(101 - lowest) >> 32);
}

// Of a pixel in [0, 1].
PATCHFORGE_HOST_DEVICE inline float block_step(int quality, int step) {
    const int scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
    const int scaled = (step * scale + 50) / 100;
    return static_cast<float>(scaled > 1 ? scaled : 1) / 255.0f;
}

constexpr float block_middle = 128 / 255.0f; // subtracted before the transform

} // namespace patchforge
