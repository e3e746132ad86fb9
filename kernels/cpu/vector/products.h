// One register tile of a matrix product, and the panels that feed it.
//
// A tile is up to tile_rows x tile_vectors vectors of sums that stay in registers while the depth
// runs. With AVX-512, 8 x 3 of 32 registers hold sums: per step of the depth 3 loads and 8
// broadcasts serve 24 multiply-adds, so the loads (two a cycle) hide behind the arithmetic (two a
// cycle).
//
// Order of summation: every sum runs over the depth from first to last, one multiply-add after the
// other, and pieces of the depth are added in their order.
#pragma once

#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {

#if defined(__AVX512F__)
constexpr int tile_rows = 8;
constexpr int tile_vectors = 3;
#elif defined(__AVX2__)
constexpr int tile_rows = 4;
constexpr int tile_vectors = 3;
#else
constexpr int tile_rows = 4;
constexpr int tile_vectors = 2;
#endif
constexpr int panel_columns = tile_vectors * lanes;
constexpr int tile_size = tile_rows * panel_columns;

// The right-hand matrix [depth, columns] lies in panels of panel_columns columns, each [depth,
// vectors of the panel], padded with zeros to a whole vector. Panel p begins at
// p * panel_columns * depth.
struct Panel {
    const float* data;
    int vectors;
    std::int64_t first_column;
    std::int64_t columns;
};

static inline Panel panel_at(const float* packed, std::int64_t depth, std::int64_t columns,
                             std::int64_t first_column) {
    std::int64_t n = columns - first_column;
    n = n < panel_columns ? n : panel_columns;
    return {packed + first_column * depth, static_cast<int>((n + lanes - 1) / lanes), first_column,
            n};
}

// tile [rows, vectors * lanes] = a [rows, depth] * panel, where element (r, k) of a is
// a[r * stride + k] in multiply_rows and a[k * stride + r] in multiply_columns.
using TileFunction = void (*)(const float* a, std::int64_t stride, const float* panel,
                              std::int64_t depth, float* tile);
extern const TileFunction multiply_rows[tile_vectors][tile_rows];
extern const TileFunction multiply_columns[tile_vectors][tile_rows];

// multiply_columns, and in its shadow Adam takes the gradients of the tile `before`, row by row, and the parameters of the
// tile `next` are asked for: arithmetic, quotients and memory overlap (at depth 64 of 7500 x 256 weights 0.75 ms, and one
// after the other 1.2 ms). Either may have no rows.
struct AdamTile;
using AdamTileFunction = void (*)(const float* a, std::int64_t stride, const float* panel,
                                  std::int64_t depth, float* tile, const AdamTile& before,
                                  const AdamTile& next, const AdamArguments& adam);
extern const AdamTileFunction multiply_columns_adam[tile_vectors][tile_rows];

// `rows` rows cut into the fewest tiles, all of nearly the same height.
struct RowTiles {
    explicit RowTiles(std::int64_t rows)
        : count((rows + tile_rows - 1) / tile_rows), height(rows / count), taller(rows % count) {}
    std::int64_t count;
    std::int64_t height; // of all but the first `taller` ones, which have one row more
    std::int64_t taller;

    std::int64_t first(std::int64_t tile) const {
        return tile * height + (tile < taller ? tile : taller);
    }
    int rows(std::int64_t tile) const { return static_cast<int>(height + (tile < taller)); }
};

} // namespace patchforge::PATCHFORGE_ISA
