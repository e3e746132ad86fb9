// The inner loops of convolutions: products of weights by runs of numbers
// (kernels/cpu/window_layout.h).
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

// Sums that stay in registers while the depth runs: up to `tall` x 3 vectors, or more beside each other
// where there are fewer rows, so that enough of them are under way.
#if defined(__AVX512F__)
constexpr int tall = 8, few = 4, some = 6, most_sums = 24;
#elif defined(__AVX2__)
constexpr int tall = 4, few = 2, some = 2, most_sums = 12;
#else
constexpr int tall = 4, few = 1, some = 1, most_sums = 8;
#endif
constexpr int narrow = 3, middle = 4, wide = 6;

// A number of things cut into the fewest pieces of at most `most`, all of nearly the same size.
struct Pieces {
    Pieces(std::int64_t things, int most)
        : count((things + most - 1) / most), size(things / (count > 0 ? count : 1)),
          larger(count > 0 ? things % count : 0) {}
    std::int64_t count, size, larger;
    std::int64_t first(std::int64_t piece) const { return piece * size + smaller(piece, larger); }
    int of(std::int64_t piece) const { return static_cast<int>(size + (piece < larger)); }
};

// The wanted numbers of a vector of positions: their lanes, in order, where they go, and how many are left from the
// first one on. Whole vectors are stored: where the lanes of each part were masked, on a core whose AVX2 takes a dozen
// cycles for that, 3x3 from three channels took 2.4 times as long.
struct Wanted {
    Ints lane;
    std::int64_t at, left;
};

// Those of the vectors from `position` on.
__attribute__((noinline)) void find_wanted(Wanted* wanted, int vectors, const WindowSums& s,
                                           std::int64_t position) {
    const auto before = [&](std::int64_t p) {
        const std::int64_t line =
            static_cast<std::uint32_t>(p) / static_cast<std::uint32_t>(s.pitch);
        return line * s.width + smaller(p - line * s.pitch, s.width);
    };
    const Ints lane = reinterpret_cast<Ints>(lane_numbers());
    const std::int64_t all = before(s.count);
    std::int64_t at = before(position), column = position % s.pitch;
    for (int v = 0; v < vectors; ++v) {
        wanted[v] = {lane, at, all - at};
        for (std::int64_t first = 0, found = 0; first < lanes;) {
            const std::int64_t here = smaller(s.pitch - column, lanes - first);
            const auto behind = static_cast<std::int32_t>(found) - Ints{};
            wanted[v].lane =
                lane < behind ? wanted[v].lane : lane + static_cast<std::int32_t>(first - found);
            const std::int64_t present = smaller(here, s.width - column);
            found += present > 0 ? present : 0;
            at += present > 0 ? present : 0;
            first += here;
            column = column + here == s.pitch ? 0 : column + here;
        }
    }
}

// Vectors of positions lie one after the other, with numbers in between that nobody wants, or where they
// are told to.
enum class Lie { together, gaps, placed };

// steady: weights come at equal distances, so that the list of taps is read for positions alone. With three rows of six
// vectors (AVX-512) there are as many loads as the core can do, and one a step more costs 8 %; with four of three (AVX2)
// a step has so few products that it costs 13 %.
template <Lie lie, bool steady, int rows, int vectors>
void sums_tile(const WindowSums& s, std::int64_t first_row, std::int64_t first,
               [[maybe_unused]] const Wanted* wanted) {
    float* const out = s.out + first_row * s.out_stride;
    std::int64_t at[vectors];
    const float* from[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
        at[v] = lie == Lie::placed ? s.place[first / lanes + v] : first + v * lanes;
        from[v] = s.x + at[v];
    }
    Floats sum[rows][vectors];
    if (lie == Lie::placed && s.accumulate) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                sum[r][v] = load(out + r * s.out_stride + at[v]);
            }
        }
    } else {
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                sum[r][v] = s.start ? broadcast(s.start[first_row + r]) : Floats{};
            }
        }
    }
    // Maps with gaps are as large as come from memory: it has the time of the products.
    if constexpr (lie == Lie::gaps) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            for (int number = 0; number < vectors * lanes; number += 16) { // of a line of 64 bytes
                __builtin_prefetch(out + r * s.out_stride + wanted[0].at + number, 1);
            }
        }
    }
    const float* weight = s.weight + first_row * s.weight_stride;
    const std::int64_t stride = s.weight_stride;
    std::int64_t channel = 0;
    for (std::int64_t left = s.channels; left > 0; left -= s.together) {
        const WindowTap* const end = s.tap + smaller(left, s.together) * s.taps;
        const float* factors = steady ? weight + s.tap->weight : weight;
        for (const WindowTap* tap = s.tap; tap != end; ++tap) {
            const std::int64_t offset = channel + tap->x;
            if constexpr (!steady) {
                factors = weight + tap->weight;
            }
            Floats b[vectors];
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                b[v] = load(lie == Lie::placed ? from[v] + offset : from[0] + offset + v * lanes);
            }
#pragma GCC unroll 8
            for (int r = 0; r < rows; ++r) {
                const Floats factor = broadcast(factors[r * stride]);
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) {
                    sum[r][v] += factor * b[v];
                }
            }
            if constexpr (steady) {
                factors += s.weight_step;
            }
        }
        channel += s.together * s.channel_stride;
        weight += s.together * s.weight_channel_stride;
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            float* const to = out + r * s.out_stride;
            if constexpr (lie == Lie::gaps) {
                // What is written past its numbers is covered by the next vector.
                const Floats numbers = __builtin_shuffle(sum[r][v], wanted[v].lane);
                store_up_to(to + wanted[v].at, numbers, wanted[v].left);
            } else {
                store_up_to(to + at[v], sum[r][v], lie == Lie::placed ? lanes : s.count - at[v]);
            }
        }
    }
}

float total(Floats v) {
    const Quad q = fold(v);
    return (q[0] + q[1]) + (q[2] + q[3]);
}

template <int taps>
void dots_group(float* c, const float* a, const float* x, const std::int64_t* offset,
                std::int64_t count, bool accumulate) {
    Floats sum[taps] = {};
    for (std::int64_t at = 0; at < count; at += lanes) {
        const Floats factor = load(a + at);
#pragma GCC unroll 8
        for (int t = 0; t < taps; ++t) {
            sum[t] += factor * load(x + offset[t] + at);
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < taps; ++t) {
        c[t] = total(sum[t]) + (accumulate ? c[t] : 0);
    }
}

template <int rows, int vectors>
void outer_tile(const OuterProducts& p, std::int64_t first_row, std::int64_t first_vector) {
    float* const to = p.sums + first_row * p.row_stride + first_vector * p.vector_stride;
    Floats sum[rows][vectors];
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            sum[r][v] = p.accumulate ? load(to + r * p.row_stride + v * p.vector_stride) : Floats{};
        }
    }
    for (std::int64_t picture = 0; picture < p.pictures; ++picture) {
        for (std::int64_t line = 0; line < p.lines; ++line) {
            const float* a = p.a.first + picture * p.a.picture + line * p.a.line + first_row;
            const float* b[vectors];
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                b[v] = p.b.first + picture * p.b.picture + line * p.b.line +
                       p.offset[first_vector + v];
            }
            std::int64_t at = 0;
            for (std::int64_t column = 0; column < p.columns; ++column) {
                Floats from[vectors];
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) {
                    from[v] = load(b[v] + at);
                }
#pragma GCC unroll 16
                for (int r = 0; r < rows; ++r) {
                    const Floats factor = broadcast(a[r]);
#pragma GCC unroll 8
                    for (int v = 0; v < vectors; ++v) {
                        sum[r][v] += factor * from[v];
                    }
                }
                a += p.a.step;
                at += p.b.step;
            }
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            store(to + r * p.row_stride + v * p.vector_stride, sum[r][v]);
        }
    }
}

// The same for runs of rows: the numbers of three channels where their planes lie, a line of a kernel each.
template <int run, int runs, int vectors>
void outer_runs_tile(const OuterProducts& p, std::int64_t first_run, std::int64_t first_vector) {
    float* const to = p.sums + first_run * run * p.row_stride + first_vector * p.vector_stride;
    Floats sum[runs * run][vectors];
#pragma GCC unroll 32
    for (int r = 0; r < runs * run; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            sum[r][v] = p.accumulate ? load(to + r * p.row_stride + v * p.vector_stride) : Floats{};
        }
    }
    for (std::int64_t picture = 0; picture < p.pictures; ++picture) {
        for (std::int64_t line = 0; line < p.lines; ++line) {
            const std::int64_t before = picture * p.a.picture + line * p.a.line;
            const float* a[runs];
#pragma GCC unroll 16
            for (int i = 0; i < runs; ++i) {
                a[i] = p.a.first + before + p.run_offset[first_run + i];
            }
            const float* b[vectors];
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                b[v] = p.b.first + picture * p.b.picture + line * p.b.line +
                       p.offset[first_vector + v];
            }
            std::int64_t at = 0, from_b = 0;
            for (std::int64_t column = 0; column < p.columns; ++column) {
                Floats from[vectors];
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) {
                    from[v] = load(b[v] + from_b);
                }
#pragma GCC unroll 16
                for (int i = 0; i < runs; ++i) {
#pragma GCC unroll 4
                    for (int r = 0; r < run; ++r) {
                        const Floats factor = broadcast(a[i][at + r]);
#pragma GCC unroll 8
                        for (int v = 0; v < vectors; ++v) {
                            sum[i * run + r][v] += factor * from[v];
                        }
                    }
                }
                at += p.a.step;
                from_b += p.b.step;
            }
        }
    }
#pragma GCC unroll 32
    for (int r = 0; r < runs * run; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            store(to + r * p.row_stride + v * p.vector_stride, sum[r][v]);
        }
    }
}

using SumsTile = void (*)(const WindowSums&, std::int64_t, std::int64_t, const Wanted*);
using OuterTile = void (*)(const OuterProducts&, std::int64_t, std::int64_t);
using DotsGroup = void (*)(float*, const float*, const float*, const std::int64_t*, std::int64_t,
                           bool);

// Of those that the registers hold; null: too many.
template <int rows, int vectors>
constexpr OuterTile outer_tile_or_null() {
    if constexpr (rows * vectors <= most_sums) {
        return outer_tile<rows, vectors>;
    }
    return nullptr;
}

// With 32 registers, 27 sums of one vector fit: a 3x3 kernel by three channels.
constexpr int most_sums_of_runs = most_sums == 24 ? 27 : most_sums;

template <int run, int runs, int vectors>
constexpr OuterTile outer_runs_tile_or_null() {
    if constexpr (run * runs * vectors <= (vectors == 1 ? most_sums_of_runs : most_sums)) {
        return outer_runs_tile<run, runs, vectors>;
    }
    return nullptr;
}

#define PATCHFORGE_NARROW(lie, steady, rows)                                                       \
    {                                                                                              \
        sums_tile<lie, steady, rows, 1>, sums_tile<lie, steady, rows, 2>,                          \
            sums_tile<lie, steady, rows, 3>                                                        \
    }
#define PATCHFORGE_MIDDLE(lie, steady, rows)                                                       \
    {                                                                                              \
        sums_tile<lie, steady, rows, 1>, sums_tile<lie, steady, rows, 2>,                          \
            sums_tile<lie, steady, rows, 3>, sums_tile<lie, steady, rows, 4>                       \
    }
#define PATCHFORGE_WIDE(lie, steady, rows)                                                         \
    {                                                                                              \
        sums_tile<lie, steady, rows, 1>, sums_tile<lie, steady, rows, 2>,                          \
            sums_tile<lie, steady, rows, 3>, sums_tile<lie, steady, rows, 4>,                      \
            sums_tile<lie, steady, rows, 5>, sums_tile<lie, steady, rows, 6>                       \
    }
#if defined(__AVX512F__)
#define PATCHFORGE_UP_TO_FOUR(lie, steady)                                                         \
    PATCHFORGE_WIDE(lie, steady, 1), PATCHFORGE_WIDE(lie, steady, 2),                              \
        PATCHFORGE_WIDE(lie, steady, 3), PATCHFORGE_WIDE(lie, steady, 4)
#define PATCHFORGE_MORE(lie)                                                                       \
    , PATCHFORGE_MIDDLE(lie, false, 5), PATCHFORGE_MIDDLE(lie, false, 6),                          \
        PATCHFORGE_NARROW(lie, false, 7), PATCHFORGE_NARROW(lie, false, 8)
#elif defined(__AVX2__)
#define PATCHFORGE_UP_TO_FOUR(lie, steady)                                                         \
    PATCHFORGE_WIDE(lie, steady, 1), PATCHFORGE_WIDE(lie, steady, 2),                              \
        PATCHFORGE_NARROW(lie, steady, 3), PATCHFORGE_NARROW(lie, steady, 4)
#define PATCHFORGE_MORE(lie)
#else
#define PATCHFORGE_UP_TO_FOUR(lie, steady)                                                         \
    PATCHFORGE_WIDE(lie, steady, 1), PATCHFORGE_NARROW(lie, steady, 2),                            \
        PATCHFORGE_NARROW(lie, steady, 3), PATCHFORGE_NARROW(lie, steady, 4)
#define PATCHFORGE_MORE(lie)
#endif
#define PATCHFORGE_TILES(lie)                                                                      \
    { PATCHFORGE_UP_TO_FOUR(lie, false) PATCHFORGE_MORE(lie) }
constexpr SumsTile sums_tiles[tall][wide] = PATCHFORGE_TILES(Lie::together);
constexpr SumsTile sums_tiles_with_gaps[tall][wide] = PATCHFORGE_TILES(Lie::gaps);
constexpr SumsTile sums_tiles_placed[tall][wide] = PATCHFORGE_TILES(Lie::placed);
constexpr int most_steady = 4; // rows
constexpr SumsTile steady_tiles[most_steady][wide] = {PATCHFORGE_UP_TO_FOUR(Lie::together, true)};
constexpr SumsTile steady_tiles_with_gaps[most_steady][wide] = {
    PATCHFORGE_UP_TO_FOUR(Lie::gaps, true)};
constexpr SumsTile steady_tiles_placed[most_steady][wide] = {
    PATCHFORGE_UP_TO_FOUR(Lie::placed, true)};

#define PATCHFORGE_OUTER(rows)                                                                     \
    {                                                                                              \
        outer_tile_or_null<rows, 1>(), outer_tile_or_null<rows, 2>(),                              \
            outer_tile_or_null<rows, 3>(), outer_tile_or_null<rows, 4>(),                          \
            outer_tile_or_null<rows, 5>(), outer_tile_or_null<rows, 6>()                           \
    }
constexpr int most_rows = 12;
constexpr OuterTile outer_tiles[most_rows][wide] = {
    PATCHFORGE_OUTER(1), PATCHFORGE_OUTER(2),  PATCHFORGE_OUTER(3),  PATCHFORGE_OUTER(4),
    PATCHFORGE_OUTER(5), PATCHFORGE_OUTER(6),  PATCHFORGE_OUTER(7),  PATCHFORGE_OUTER(8),
    PATCHFORGE_OUTER(9), PATCHFORGE_OUTER(10), PATCHFORGE_OUTER(11), PATCHFORGE_OUTER(12)};
#define PATCHFORGE_RUNS(run, vectors)                                                              \
    {                                                                                              \
        outer_runs_tile_or_null<run, 1, vectors>(), outer_runs_tile_or_null<run, 2, vectors>(),    \
            outer_runs_tile_or_null<run, 3, vectors>(),                                            \
            outer_runs_tile_or_null<run, 4, vectors>(),                                            \
            outer_runs_tile_or_null<run, 5, vectors>(),                                            \
            outer_runs_tile_or_null<run, 6, vectors>(),                                            \
            outer_runs_tile_or_null<run, 7, vectors>(),                                            \
            outer_runs_tile_or_null<run, 8, vectors>(), outer_runs_tile_or_null<run, 9, vectors>() \
    }
constexpr int shortest_run = 3, most_vectors_of_runs = 2, most_runs = 9;
constexpr OuterTile outer_runs_tiles[2][most_vectors_of_runs][most_runs] = {
    {PATCHFORGE_RUNS(3, 1), PATCHFORGE_RUNS(3, 2)}, {PATCHFORGE_RUNS(4, 1), PATCHFORGE_RUNS(4, 2)}};
constexpr DotsGroup dots_groups[wide] = {dots_group<1>, dots_group<2>, dots_group<3>,
                                         dots_group<4>, dots_group<5>, dots_group<6>};

int width_for(std::int64_t rows) {
    return rows <= few ? wide : rows <= some ? middle : narrow;
}

} // namespace

// All rows of some positions before the next ones: their numbers are read from the first-level cache.
void window_sums(const WindowSums& sums) {
    const bool gaps = !sums.place && sums.width != sums.pitch;
    const std::int64_t vectors = sums.place ? sums.count : (sums.count + lanes - 1) / lanes;
    const Pieces row_tiles(sums.rows, tall);
    const bool steady = sums.weight_step != 0 && row_tiles.of(0) <= most_steady;
    const SumsTile(*const tiles)[wide] =
        sums.place ? (steady ? steady_tiles_placed : sums_tiles_placed)
        : gaps     ? (steady ? steady_tiles_with_gaps : sums_tiles_with_gaps)
                   : (steady ? steady_tiles : sums_tiles);
    const Pieces runs(vectors, width_for(row_tiles.of(0)));
    Wanted wanted[wide];
    for (std::int64_t run = 0; run < runs.count; ++run) {
        const std::int64_t first = runs.first(run) * lanes;
        if (gaps) {
            find_wanted(wanted, runs.of(run), sums, first);
        }
        for (std::int64_t tile = 0; tile < row_tiles.count; ++tile) {
            tiles[row_tiles.of(tile) - 1][runs.of(run) - 1](sums, row_tiles.first(tile), first,
                                                            wanted);
        }
    }
}

void window_dots(float* c, const float* a, const float* x, const std::int64_t* offset,
                 std::int64_t taps, std::int64_t count, bool accumulate) {
    const Pieces groups(taps, wide);
    for (std::int64_t group = 0; group < groups.count; ++group) {
        const std::int64_t first = groups.first(group);
        dots_groups[groups.of(group) - 1](c + first, a, x, offset + first, count, accumulate);
    }
}

void window_outer(const OuterProducts& products) {
    if (products.run > 0) {
        const int run = static_cast<int>(products.run);
        const Pieces groups(products.vectors,
                            run * most_vectors_of_runs <= most_sums ? most_vectors_of_runs : 1);
        for (std::int64_t group = 0; group < groups.count; ++group) {
            const int vectors = groups.of(group);
            const int sums = vectors == 1 ? most_sums_of_runs : most_sums;
            const Pieces tiles(products.rows / run,
                               static_cast<int>(smaller(most_runs, sums / (run * vectors))));
            for (std::int64_t tile = 0; tile < tiles.count; ++tile) {
                outer_runs_tiles[run - shortest_run][vectors - 1][tiles.of(tile) - 1](
                    products, tiles.first(tile), groups.first(group));
            }
        }
        return;
    }
    const int beside = static_cast<int>(
        smaller(products.vectors, products.rows >= tall ? narrow : smaller(wide, most_sums)));
    const Pieces row_tiles(products.rows, static_cast<int>(smaller(most_rows, most_sums / beside)));
    for (std::int64_t tile = 0; tile < row_tiles.count; ++tile) {
        const int rows = row_tiles.of(tile);
        const Pieces groups(products.vectors, static_cast<int>(smaller(wide, most_sums / rows)));
        for (std::int64_t group = 0; group < groups.count; ++group) {
            outer_tiles[rows - 1][groups.of(group) - 1](products, row_tiles.first(tile),
                                                        groups.first(group));
        }
    }
}

} // namespace patchforge::PATCHFORGE_ISA
