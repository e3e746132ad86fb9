// The inner loops of convolutions: products of weights by runs of numbers
// (kernels/cpu/window_layout.h).
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

// Sums that stay in registers while the depth runs: up to `tall` x 3 vectors, or few x 6 where there
// are few rows (three channels), so that enough of them are under way.
#if defined(__AVX512F__)
constexpr int tall = 8, few = 4;
#elif defined(__AVX2__)
constexpr int tall = 4, few = 2;
#else
constexpr int tall = 4, few = 1;
#endif
constexpr int narrow = 3, wide = 6;

std::int64_t smaller(std::int64_t a, std::int64_t b) {
    return a < b ? a : b;
}

// A number of things cut into the fewest pieces of at most `most`, all of nearly the same size.
struct Pieces {
    Pieces(std::int64_t things, int most)
        : count((things + most - 1) / most), size(things / (count > 0 ? count : 1)),
          larger(count > 0 ? things % count : 0) {}
    std::int64_t count, size, larger;
    std::int64_t first(std::int64_t piece) const { return piece * size + smaller(piece, larger); }
    int of(std::int64_t piece) const { return static_cast<int>(size + (piece < larger)); }
};

struct Sums {
    float* out;
    std::int64_t out_stride;
    const float* x;
    std::int64_t channel_stride, channels;
    const std::int64_t* offset;
    std::int64_t taps;
    const float* weight;
    std::int64_t weight_stride;
    const float* start; // null: zeros
    std::int64_t count;
};

template <int rows, int vectors>
void sums_tile(const Sums& s, std::int64_t first_row, std::int64_t first) {
    Floats sum[rows][vectors];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            sum[r][v] = s.start ? broadcast(s.start[first_row + r]) : Floats{};
        }
    }
    const float* x = s.x + first;
    const float* weight = s.weight + first_row * s.weight_stride;
    const std::int64_t stride = s.weight_stride;
    const std::int64_t* const end = s.offset + s.taps;
    for (std::int64_t i = 0; i < s.channels; ++i, x += s.channel_stride) {
        for (const std::int64_t* offset = s.offset; offset != end; ++offset, ++weight) {
            const float* const from = x + *offset;
            Floats b[vectors];
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                b[v] = load(from + v * lanes);
            }
#pragma GCC unroll 8
            for (int r = 0; r < rows; ++r) {
                const Floats factor = broadcast(weight[r * stride]);
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) {
                    sum[r][v] += factor * b[v];
                }
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            store_up_to(s.out + (first_row + r) * s.out_stride + first + v * lanes, sum[r][v],
                        s.count - first - v * lanes);
        }
    }
}

struct Products {
    float* c;
    std::int64_t c_stride;
    const float* a;
    std::int64_t a_stride;
    const float* x;
    const std::int64_t* offset;
    std::int64_t runs, run_stride, count;
    bool accumulate;
};

float total(Floats v) {
    const Quad q = fold(v);
    return (q[0] + q[1]) + (q[2] + q[3]);
}

template <int rows, int taps>
void products_tile(const Products& p, std::int64_t first_row, std::int64_t first_tap) {
    Floats sum[rows][taps] = {};
    const float* const a = p.a + first_row * p.a_stride;
    const float* x[taps];
#pragma GCC unroll 8
    for (int t = 0; t < taps; ++t) {
        x[t] = p.x + p.offset[first_tap + t];
    }
    for (std::int64_t run = 0; run < p.runs; ++run) {
        const std::int64_t end = run * p.run_stride + p.count;
        for (std::int64_t at = run * p.run_stride; at < end; at += lanes) {
            Floats b[taps];
#pragma GCC unroll 8
            for (int t = 0; t < taps; ++t) {
                b[t] = load(x[t] + at);
            }
#pragma GCC unroll 8
            for (int r = 0; r < rows; ++r) {
                const Floats factor = load(a + r * p.a_stride + at);
#pragma GCC unroll 8
                for (int t = 0; t < taps; ++t) {
                    sum[r][t] += factor * b[t];
                }
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
        float* const to = p.c + (first_row + r) * p.c_stride + first_tap;
#pragma GCC unroll 8
        for (int t = 0; t < taps; ++t) {
            to[t] = total(sum[r][t]) + (p.accumulate ? to[t] : 0);
        }
    }
}

using SumsTile = void (*)(const Sums&, std::int64_t, std::int64_t);
using ProductsTile = void (*)(const Products&, std::int64_t, std::int64_t);

#define PATCHFORGE_NARROW(function, rows)                                                          \
    { function<rows, 1>, function<rows, 2>, function<rows, 3> }
#define PATCHFORGE_WIDE(function, rows)                                                            \
    {                                                                                              \
        function<rows, 1>, function<rows, 2>, function<rows, 3>, function<rows, 4>,                \
            function<rows, 5>, function<rows, 6>                                                   \
    }
#if defined(__AVX512F__)
#define PATCHFORGE_TILES(function)                                                                 \
    {                                                                                              \
        PATCHFORGE_WIDE(function, 1), PATCHFORGE_WIDE(function, 2), PATCHFORGE_WIDE(function, 3),  \
            PATCHFORGE_WIDE(function, 4), PATCHFORGE_NARROW(function, 5),                          \
            PATCHFORGE_NARROW(function, 6), PATCHFORGE_NARROW(function, 7),                        \
            PATCHFORGE_NARROW(function, 8)                                                         \
    }
#elif defined(__AVX2__)
#define PATCHFORGE_TILES(function)                                                                 \
    {                                                                                              \
        PATCHFORGE_WIDE(function, 1), PATCHFORGE_WIDE(function, 2),                                \
            PATCHFORGE_NARROW(function, 3), PATCHFORGE_NARROW(function, 4)                         \
    }
#else
#define PATCHFORGE_TILES(function)                                                                 \
    {                                                                                              \
        PATCHFORGE_WIDE(function, 1), PATCHFORGE_NARROW(function, 2),                              \
            PATCHFORGE_NARROW(function, 3), PATCHFORGE_NARROW(function, 4)                         \
    }
#endif

constexpr SumsTile sums_tiles[tall][wide] = PATCHFORGE_TILES(sums_tile);
constexpr ProductsTile products_tiles[tall][wide] = PATCHFORGE_TILES(products_tile);

int width_for(std::int64_t rows) {
    return rows <= few ? wide : narrow;
}

} // namespace

void window_sums(float* out, std::int64_t out_stride, const float* x, std::int64_t channel_stride,
                 std::int64_t channels, const std::int64_t* offset, std::int64_t taps,
                 const float* weight, std::int64_t weight_stride, const float* start,
                 std::int64_t rows, std::int64_t count) {
    const Sums sums{out,    out_stride,    x,     channel_stride, channels, offset, taps,
                    weight, weight_stride, start, count};
    const Pieces row_tiles(rows, tall);
    for (std::int64_t tile = 0; tile < row_tiles.count; ++tile) {
        const int height = row_tiles.of(tile);
        const Pieces runs((count + lanes - 1) / lanes, width_for(height));
        for (std::int64_t run = 0; run < runs.count; ++run) {
            sums_tiles[height - 1][runs.of(run) - 1](sums, row_tiles.first(tile),
                                                     runs.first(run) * lanes);
        }
    }
}

void window_products(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                     const float* x, const std::int64_t* offset, std::int64_t taps,
                     std::int64_t rows, std::int64_t runs, std::int64_t run_stride,
                     std::int64_t count, bool accumulate) {
    const Products products{c,      c_stride, a,          a_stride, x,
                            offset, runs,     run_stride, count,    accumulate};
    const Pieces row_tiles(rows, tall);
    for (std::int64_t tile = 0; tile < row_tiles.count; ++tile) {
        const int height = row_tiles.of(tile);
        const Pieces groups(taps, width_for(height));
        for (std::int64_t group = 0; group < groups.count; ++group) {
            products_tiles[height - 1][groups.of(group) - 1](products, row_tiles.first(tile),
                                                             groups.first(group));
        }
    }
}

} // namespace patchforge::PATCHFORGE_ISA
