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

// Up to panel_columns columns of the right-hand matrix [depth, columns], `stride` from row to row, each of whole
// vectors. Packed, panels lie behind each other without gaps, padded with zeros: panel p begins at
// p * panel_columns * depth.
struct Panel {
    const float* data;
    std::int64_t stride;
    int vectors;
    std::int64_t columns;
};

static inline Panel panel_at(const float* packed, std::int64_t depth, std::int64_t columns,
                             std::int64_t first_column) {
    std::int64_t n = columns - first_column;
    n = n < panel_columns ? n : panel_columns;
    const std::int64_t vectors = (n + lanes - 1) / lanes;
    return {packed + first_column * depth, vectors * lanes, static_cast<int>(vectors), n};
}

// c [rows, vectors * lanes] = a [rows, depth] * panel, added to c when `accumulate`, where element (r, k) of a is
// a[r * stride + k] in multiply_rows and a[k * stride + r] in multiply_columns.
using TileFunction = void (*)(float* c, std::int64_t c_stride, const float* a, std::int64_t stride,
                              const Panel& panel, std::int64_t depth, bool accumulate);
extern const TileFunction multiply_rows[tile_vectors][tile_rows];
extern const TileFunction multiply_columns[tile_vectors][tile_rows];

// multiply_columns, and in its shadow Adam goes tile_rows steps on in the strip of gradients before: arithmetic,
// quotients and memory overlap.
class AdamWalk;
using AdamTileFunction = void (*)(float* c, std::int64_t c_stride, const float* a,
                                  std::int64_t stride, const Panel& panel, std::int64_t depth,
                                  AdamWalk& walk, const AdamArguments& adam);
extern const AdamTileFunction multiply_columns_adam[tile_vectors][tile_rows];

// Weights come from beyond the second-level cache, in lines of a page each, which no prefetcher follows:
// they are asked for so many numbers of a line before they are needed.
constexpr std::int64_t numbers_ahead = 256;

// c (+)= a [rows, depth] * b of at most direct_rows rows, without panels (few_rows.cpp).
void multiply_directly(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                       const float* b, std::int64_t b_stride, std::int64_t rows,
                       std::int64_t columns, std::int64_t depth, bool accumulate);

// `rows` rows cut into the fewest tiles of at most `most`, all of nearly the same height.
struct RowTiles {
    explicit RowTiles(std::int64_t rows, std::int64_t most = tile_rows)
        : count((rows + most - 1) / most), height(rows / count), taller(rows % count) {}
    std::int64_t count;
    std::int64_t height; // of all but the first `taller` ones, which have one row more
    std::int64_t taller;

    std::int64_t first(std::int64_t tile) const {
        return tile * height + (tile < taller ? tile : taller);
    }
    int rows(std::int64_t tile) const { return static_cast<int>(height + (tile < taller)); }
};

} // namespace patchforge::PATCHFORGE_ISA
