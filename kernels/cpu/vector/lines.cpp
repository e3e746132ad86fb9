// Lines of maps on their way: copied with other distances, dealt out in turn, joined, and interleaved
// with those of other pictures. Whole vectors are written where the lines after will cover what is too
// much, and parts of them where none will.
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

// Maps of a large batch come from memory; where lines are short no processor fetches far enough ahead.
constexpr std::int64_t fetched_ahead = 1024;                // of lines that follow each other
constexpr std::int64_t fetched_ahead_of_square = 4 * lanes; // of each of its rows

void store_before(float* to, Floats v, const float* end) {
    if (to < end) {
        store_up_to(to, v, end - to);
    }
}

// Lines of `whole` vectors and a part of one, written as a whole vector.
template <int whole>
void copy_short_lines(float* to, std::int64_t to_stride, const float* from,
                      std::int64_t from_stride, std::int64_t lines, std::int64_t rest) {
    for (std::int64_t line = 0; line < lines; ++line, to += to_stride, from += from_stride) {
#pragma GCC unroll 8
        for (int v = 0; v <= whole; ++v) {
            __builtin_prefetch(from + fetched_ahead + v * lanes);
            store(to + v * lanes,
                  v < whole ? load(from + v * lanes) : load_part(from + v * lanes, rest));
        }
    }
}

using CopyShortLines = void (*)(float*, std::int64_t, const float*, std::int64_t, std::int64_t,
                                std::int64_t);
constexpr CopyShortLines short_lines[] = {copy_short_lines<0>, copy_short_lines<1>,
                                          copy_short_lines<2>, copy_short_lines<3>,
                                          copy_short_lines<4>};
constexpr std::int64_t shortest_long_line = 5 * lanes;

// Three channels without gaps between the positions.
void three_last(float* to, std::int64_t to_line, const float* from, std::int64_t from_stride,
                std::int64_t lines, std::int64_t width) {
    // Number n of what is written is of position n / 3, channel n % 3: the first two, then the third.
    Ints pick[3], third[3];
    for (int v = 0; v < 3; ++v) {
        for (int lane = 0; lane < lanes; ++lane) {
            const int n = v * lanes + lane, position = n / 3, channel = n % 3;
            pick[v][lane] = channel == 1 ? lanes + position : position;
            third[v][lane] = channel == 2 ? lanes + position : lane;
        }
    }
    const std::int64_t whole = width / lanes * lanes, rest = width - whole;
    const auto place = [&](const Floats(&channel)[3], int v) {
        const Floats two = __builtin_shuffle(channel[0], channel[1], pick[v]);
        return __builtin_shuffle(two, channel[2], third[v]);
    };
    for (std::int64_t line = 0; line < lines; ++line, to += to_line, from += width) {
        Floats channel[3];
        for (std::int64_t at = 0; at < whole; at += lanes) {
#pragma GCC unroll 3
            for (int c = 0; c < 3; ++c) {
                channel[c] = load(from + c * from_stride + at);
                __builtin_prefetch(from + c * from_stride + at + fetched_ahead);
            }
#pragma GCC unroll 3
            for (int v = 0; v < 3; ++v) {
                store(to + 3 * at + v * lanes, place(channel, v));
            }
        }
        if (rest > 0) {
#pragma GCC unroll 3
            for (int c = 0; c < 3; ++c) {
                channel[c] = load_part(from + c * from_stride + whole, rest);
            }
#pragma GCC unroll 3
            for (int v = 0; v < 3; ++v) {
                store_before(to + 3 * whole + v * lanes, place(channel, v), to + 3 * width);
            }
        }
    }
}

// A square of whole vectors and its transpose. A function by itself, where the compiler makes the addresses of lines
// from a few registers; in its callers' loops it keeps one of each on the stack.
__attribute__((noinline)) void move_square(float* to, std::int64_t to_stride, const float* from,
                                           std::int64_t from_stride) {
    Floats square[lanes];
    load_transposed(square, from, from_stride);
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) {
        store(to + i * to_stride, square[i]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) {
        __builtin_prefetch(from + i * from_stride + fetched_ahead_of_square);
    }
}

} // namespace

void copy_lines(float* to, std::int64_t to_stride, const float* from, std::int64_t from_stride,
                std::int64_t lines, std::int64_t count, std::int64_t width) {
    if (count == width && to_stride == width && from_stride == width) { // without gaps: one line
        count = width = count * lines;
        lines = 1;
    }
    const std::int64_t whole = count / lanes * lanes, rest = count - whole;
    const std::int64_t written = (width + lanes - 1) / lanes * lanes;
    const float* const end = to + (lines - 1) * to_stride + width;
    if (whole < shortest_long_line && written == whole + lanes && to + written <= end) {
        const std::int64_t most = (end - to - written) / to_stride + 1; // that lines after cover
        const std::int64_t covered = smaller(most, lines);
        short_lines[whole / lanes](to, to_stride, from, from_stride, covered, rest);
        to += covered * to_stride;
        from += covered * from_stride;
        lines -= covered;
    }
    for (std::int64_t line = 0; line < lines; ++line, to += to_stride, from += from_stride) {
        for (std::int64_t at = 0; at < count; at += lanes) {
            __builtin_prefetch(from + fetched_ahead + at);
        }
        if (to + written > end) {
            for (std::int64_t at = 0; at < width; at += lanes) {
                store_before(to + at, load_or_zero(from + at, count - at), end);
            }
            continue;
        }
        std::int64_t at = 0;
        for (; at < whole; at += lanes) {
            store(to + at, load(from + at));
        }
        if (at < written) { // its mask is the same for all lines
            store(to + at, load_part(from + at, rest));
            at += lanes;
        }
        for (; at < written; at += lanes) {
            store(to + at, Floats{});
        }
    }
}

void deal_lines(float* even, std::int64_t evens, float* odd, std::int64_t odds,
                std::int64_t to_stride, const float* from, std::int64_t from_stride,
                std::int64_t lines, std::int64_t count) {
    const Ints pick = reinterpret_cast<Ints>(lane_numbers() * 2);
    const std::int64_t size = (lines - 1) * to_stride + to_stride;
    const float* const even_end = even + size;
    const float* const odd_end = odd + size;
    for (std::int64_t line = 0; line < lines; ++line, from += from_stride) {
        for (std::int64_t at = 0; at < to_stride; at += lanes) {
            const std::int64_t left = count - 2 * at;
            __builtin_prefetch(from + fetched_ahead + 2 * at);
            __builtin_prefetch(from + fetched_ahead + 2 * at + lanes);
            const Floats first = load_or_zero(from + 2 * at, left);
            const Floats second = load_or_zero(from + 2 * at + lanes, left - lanes);
            if (even) {
                const Floats v = __builtin_shuffle(first, second, pick);
                store_before(even + line * to_stride + at, zeros_from(v, evens - at), even_end);
            }
            if (odd) {
                const Floats v = __builtin_shuffle(first, second, pick + 1);
                store_before(odd + line * to_stride + at, zeros_from(v, odds - at), odd_end);
            }
        }
    }
}

void join_lines(float* to, std::int64_t to_stride, const float* even, const float* odd,
                std::int64_t from_stride, std::int64_t lines, std::int64_t count) {
    for (std::int64_t line = 0; line < lines; ++line) {
        float* const target = to + line * to_stride;
        const float* const end = target + count; // the lines between are not this call's
        std::int64_t at = 0;
        for (; 2 * (at + lanes) <= count; at += lanes) {
            const Floats first = load(even + line * from_stride + at);
            const Floats second = load(odd + line * from_stride + at);
            store(target + 2 * at, interleave_first(first, second));
            store(target + 2 * at + lanes, interleave_second(first, second));
        }
        if (2 * at < count) {
            const Floats first = load(even + line * from_stride + at);
            const Floats second = load(odd + line * from_stride + at);
            store_before(target + 2 * at, interleave_first(first, second), end);
            store_before(target + 2 * at + lanes, interleave_second(first, second), end);
        }
    }
}

// By squares of lanes x lanes.
void interleave_maps(float* to, const std::int32_t* place, const float* from,
                     std::int64_t from_stride, std::int64_t pictures, std::int64_t count) {
    for (std::int64_t at = 0; at < count; at += lanes) {
        const std::int64_t valid = smaller(lanes, count - at);
        Floats square[lanes];
        if (pictures == lanes && valid == lanes) {
            load_transposed(square, from + at, from_stride);
#pragma GCC unroll 16
            for (int i = 0; i < lanes; ++i) {
                __builtin_prefetch(from + i * from_stride + at + fetched_ahead_of_square);
            }
#pragma GCC unroll 16
            for (int i = 0; i < lanes; ++i) {
                if (place[at + i] >= 0) {
                    store(to + place[at + i], square[i]);
                }
            }
            continue;
        }
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) {
            square[i] = i < pictures ? load_up_to(from + i * from_stride + at, valid) : Floats{};
        }
        transpose(square);
        alignas(64) float numbers[lanes * lanes];
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) {
            store(numbers + i * lanes, square[i]);
        }
        for (std::int64_t i = 0; i < valid; ++i) {
            if (place[at + i] >= 0) {
                store(to + place[at + i], load(numbers + i * lanes));
            }
        }
    }
}

void separate_maps(float* to, std::int64_t to_stride, const float* from, const std::int32_t* place,
                   std::int64_t pictures, std::int64_t count) {
    for (std::int64_t at = 0; at < count; at += lanes) {
        const std::int64_t valid = smaller(lanes, count - at);
        Floats square[lanes];
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) {
            square[i] = load(from + place[at + (i < valid ? i : 0)]);
        }
        transpose(square);
        if (pictures == lanes && valid == lanes) {
#pragma GCC unroll 16
            for (int i = 0; i < lanes; ++i) {
                store(to + i * to_stride + at, square[i]);
            }
            continue;
        }
        alignas(64) float numbers[lanes * lanes];
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) {
            store(numbers + i * lanes, square[i]);
        }
        for (std::int64_t i = 0; i < pictures; ++i) {
            store_up_to(to + i * to_stride + at, load(numbers + i * lanes), valid);
        }
    }
}

// Blocks of channels from the last to the first: what a vector writes past its channels is covered
// by the numbers that come later.
void channels_last(float* to, std::int64_t to_line, std::int64_t to_step, const float* from,
                   std::int64_t from_stride, std::int64_t channels, std::int64_t lines,
                   std::int64_t width) {
    if (channels == 3 && to_step == 3) {
        three_last(to, to_line, from, from_stride, lines, width);
        return;
    }
    for (std::int64_t block = (channels - 1) / lanes; block >= 0; --block) {
        const std::int64_t present = smaller(lanes, channels - block * lanes);
        const float* const of_block = from + block * lanes * from_stride;
        float* line = to + block * lanes;
        std::int64_t column = 0;
        for (std::int64_t at = 0; at < lines * width; at += lanes) {
            const std::int64_t valid = smaller(lanes, lines * width - at);
            if (present == lanes && valid == lanes && column + lanes <= width) {
                move_square(line + column * to_step, to_step, of_block + at, from_stride);
                column += lanes;
                if (column == width) {
                    column = 0;
                    line += to_line;
                }
                continue;
            }
            Floats square[lanes];
#pragma GCC unroll 16
            for (int i = 0; i < lanes; ++i) {
                const float* const row = of_block + i * from_stride + at;
                square[i] = i < present ? load_up_to(row, valid) : Floats{};
                __builtin_prefetch(row + fetched_ahead_of_square);
            }
            transpose(square);
            alignas(64) float numbers[lanes * lanes];
#pragma GCC unroll 16
            for (int i = 0; i < lanes; ++i) {
                store(numbers + i * lanes, square[i]);
            }
            for (std::int64_t i = 0; i < valid; ++i) {
                store(line + column * to_step, load(numbers + i * lanes));
                if (++column == width) {
                    column = 0;
                    line += to_line;
                }
            }
        }
    }
}

} // namespace patchforge::PATCHFORGE_ISA
