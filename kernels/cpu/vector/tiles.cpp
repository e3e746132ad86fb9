#include "kernels/cpu/vector/adam_strip.h"
#include "kernels/cpu/vector/products.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

// The product, in tile_rows pieces of the depth; `between(i)` is called behind piece i, and runs beside the next one: what
// it does waits for memory, square roots and quotients, and the sums are independent of it.
template <bool by_rows, int vectors, int rows, class Between>
inline __attribute__((always_inline)) void
multiply_between(float* c, std::int64_t c_stride, const float* __restrict__ a, std::int64_t stride,
                 const Panel& panel, std::int64_t depth, bool accumulate, const Between& between) {
    const float* __restrict__ from = panel.data;
    const std::int64_t step = panel.stride;
    Floats sum[rows][vectors] = {};
    std::int64_t k = 0;
    for (int piece = 0; piece < Between::pieces; ++piece) {
        for (const std::int64_t end = depth * (piece + 1) / Between::pieces; k < end; ++k) {
            Floats b[vectors];
#pragma GCC unroll 4
            for (int v = 0; v < vectors; ++v) {
                b[v] = load(from + v * lanes);
            }
#pragma GCC unroll 16
            for (int r = 0; r < rows; ++r) {
                const Floats factor = broadcast(by_rows ? a[r * stride] : a[r]);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; ++v) {
                    sum[r][v] += factor * b[v];
                }
            }
            from += step;
            a += by_rows ? 1 : stride;
        }
        between(piece);
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
            if (accumulate) {
                sum[r][v] += load(c + r * c_stride + v * lanes);
            }
            store(c + r * c_stride + v * lanes, sum[r][v]);
        }
    }
}

struct Nothing {
    static constexpr int pieces = 1;
    void operator()(int) const {}
};

template <bool by_rows, int vectors, int rows>
void multiply_tile(float* c, std::int64_t c_stride, const float* a, std::int64_t stride,
                   const Panel& panel, std::int64_t depth, bool accumulate) {
    multiply_between<by_rows, vectors, rows>(c, c_stride, a, stride, panel, depth, accumulate,
                                             Nothing{});
}

struct AdamSteps {
    static constexpr int pieces = tile_rows;
    AdamWalk& walk;
    const AdamArguments& adam;

    void operator()(int) const { walk.step(adam); }
};

template <int vectors, int rows>
void multiply_adam_tile(float* c, std::int64_t c_stride, const float* a, std::int64_t stride,
                        const Panel& panel, std::int64_t depth, AdamWalk& walk,
                        const AdamArguments& adam) {
    multiply_between<false, vectors, rows>(c, c_stride, a, stride, panel, depth, false,
                                           AdamSteps{walk, adam});
}

} // namespace

// One entry for every height of a tile, and of those one list for every width.
#if defined(__AVX512F__)
#define PATCHFORGE_HEIGHTS(function, ...)                                                          \
    {                                                                                              \
        function<__VA_ARGS__, 1>, function<__VA_ARGS__, 2>, function<__VA_ARGS__, 3>,              \
            function<__VA_ARGS__, 4>, function<__VA_ARGS__, 5>, function<__VA_ARGS__, 6>,          \
            function<__VA_ARGS__, 7>, function<__VA_ARGS__, 8>                                     \
    }
#else
#define PATCHFORGE_HEIGHTS(function, ...)                                                          \
    {                                                                                              \
        function<__VA_ARGS__, 1>, function<__VA_ARGS__, 2>, function<__VA_ARGS__, 3>,              \
            function<__VA_ARGS__, 4>                                                               \
    }
#endif

const TileFunction multiply_rows[tile_vectors][tile_rows] = {
    PATCHFORGE_HEIGHTS(multiply_tile, true, 1),
    PATCHFORGE_HEIGHTS(multiply_tile, true, 2),
#if defined(__AVX2__)
    PATCHFORGE_HEIGHTS(multiply_tile, true, 3),
#endif
};
const TileFunction multiply_columns[tile_vectors][tile_rows] = {
    PATCHFORGE_HEIGHTS(multiply_tile, false, 1),
    PATCHFORGE_HEIGHTS(multiply_tile, false, 2),
#if defined(__AVX2__)
    PATCHFORGE_HEIGHTS(multiply_tile, false, 3),
#endif
};
const AdamTileFunction multiply_columns_adam[tile_vectors][tile_rows] = {
    PATCHFORGE_HEIGHTS(multiply_adam_tile, 1),
    PATCHFORGE_HEIGHTS(multiply_adam_tile, 2),
#if defined(__AVX2__)
    PATCHFORGE_HEIGHTS(multiply_adam_tile, 3),
#endif
};

} // namespace patchforge::PATCHFORGE_ISA
