// Maxima of windows of 2 x 2: the even and the odd numbers of two lines are brought side by side.
#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

// The windows' numbers in row-major order; of the vector's last windows some may be missing (0).
struct Windows {
    Floats number[4];

    Windows(const float* line, std::int64_t width, std::int64_t columns) {
        const Ints even = reinterpret_cast<Ints>(lane_numbers() * 2);
        for (int i = 0; i < 2; ++i, line += width) {
            const Floats first = load_or_zero(line, 2 * columns);
            const Floats second = load_or_zero(line + lanes, 2 * columns - lanes);
            number[2 * i] = __builtin_shuffle(first, second, even);
            number[2 * i + 1] = __builtin_shuffle(first, second, even + 1);
        }
    }
};

// v is taken for the maximum so far: it is larger, or no number.
Ints exceeds(Floats v, Floats maximum) {
    return (v > maximum) | (v != v);
}

} // namespace

void pool_pairs(float* y, const float* x, std::int64_t lines, std::int64_t columns,
                std::int64_t width) {
    for (std::int64_t line = 0; line < lines; ++line, x += 2 * width, y += columns) {
        for (std::int64_t at = 0; at < columns; at += lanes) {
            const Windows windows(x + 2 * at, width, columns - at);
            Floats maximum = windows.number[0];
            for (int i = 1; i < 4; ++i) {
                maximum = exceeds(windows.number[i], maximum) ? windows.number[i] : maximum;
            }
            store_up_to(y + at, maximum, columns - at);
        }
    }
}

void pool_pairs_gradient(float* dx, const float* dy, const float* x, std::int64_t lines,
                         std::int64_t columns, std::int64_t width) {
    for (std::int64_t line = 0; line < lines; ++line, dy += columns) {
        for (std::int64_t at = 0; at < columns; at += lanes) {
            const std::int64_t left = columns - at;
            const Windows windows(x + 2 * at, width, left);
            Floats maximum = windows.number[0];
            Ints place = {};
            for (int i = 1; i < 4; ++i) {
                const Ints larger = exceeds(windows.number[i], maximum);
                maximum = larger ? windows.number[i] : maximum;
                place = larger ? i - Ints{} : place;
            }
            const Floats gradient = load_up_to(dy + at, left);
            for (int i = 0; i < 2; ++i) {
                const Floats even = place == 2 * i - Ints{} ? gradient : Floats{};
                const Floats odd = place == 2 * i + 1 - Ints{} ? gradient : Floats{};
                float* const to = dx + i * width + 2 * at;
                store_up_to(to, interleave_first(even, odd), 2 * left);
                if (2 * left > lanes) {
                    store_up_to(to + lanes, interleave_second(even, odd), 2 * left - lanes);
                }
            }
        }
        for (int i = 0; i < 2; ++i, dx += width, x += width) {
            for (std::int64_t column = 2 * columns; column < width; ++column) {
                dx[column] = 0;
            }
        }
    }
}

} // namespace patchforge::PATCHFORGE_ISA
