#include "kernels/cpu/vector/products.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

template <bool by_rows, int vectors, int rows>
void multiply_tile(const float* __restrict__ a, std::int64_t stride,
                   const float* __restrict__ panel, std::int64_t depth, float* __restrict__ tile) {
    Floats sum[rows][vectors] = {};
    for (std::int64_t k = 0; k < depth; ++k) {
        Floats b[vectors];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
            b[v] = load(panel + v * lanes);
        }
#pragma GCC unroll 16
        for (int r = 0; r < rows; ++r) {
            const Floats factor = broadcast(by_rows ? a[r * stride] : a[r]);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; ++v) {
                sum[r][v] += factor * b[v];
            }
        }
        panel += vectors * lanes;
        a += by_rows ? 1 : stride;
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
            store(tile + (r * vectors + v) * lanes, sum[r][v]);
        }
    }
}

} // namespace

#if defined(__AVX512F__)
#define PATCHFORGE_TILES_OF_ROW(by_rows, vectors)                                                  \
    {                                                                                              \
        multiply_tile<by_rows, vectors, 1>, multiply_tile<by_rows, vectors, 2>,                    \
            multiply_tile<by_rows, vectors, 3>, multiply_tile<by_rows, vectors, 4>,                \
            multiply_tile<by_rows, vectors, 5>, multiply_tile<by_rows, vectors, 6>,                \
            multiply_tile<by_rows, vectors, 7>, multiply_tile<by_rows, vectors, 8>                 \
    }
#else
#define PATCHFORGE_TILES_OF_ROW(by_rows, vectors)                                                  \
    {                                                                                              \
        multiply_tile<by_rows, vectors, 1>, multiply_tile<by_rows, vectors, 2>,                    \
            multiply_tile<by_rows, vectors, 3>, multiply_tile<by_rows, vectors, 4>                 \
    }
#endif

#if defined(__AVX2__)
#define PATCHFORGE_TILES(by_rows)                                                                  \
    {                                                                                              \
        PATCHFORGE_TILES_OF_ROW(by_rows, 1), PATCHFORGE_TILES_OF_ROW(by_rows, 2),                  \
            PATCHFORGE_TILES_OF_ROW(by_rows, 3)                                                    \
    }
#else
#define PATCHFORGE_TILES(by_rows)                                                                  \
    { PATCHFORGE_TILES_OF_ROW(by_rows, 1), PATCHFORGE_TILES_OF_ROW(by_rows, 2) }
#endif

const TileFunction multiply_rows[tile_vectors][tile_rows] = PATCHFORGE_TILES(true);
const TileFunction multiply_columns[tile_vectors][tile_rows] = PATCHFORGE_TILES(false);

} // namespace patchforge::PATCHFORGE_ISA
