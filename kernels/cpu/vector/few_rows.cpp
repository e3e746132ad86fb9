// Products of so few rows that the way of the weights from memory is the cost: they are read as they lie, once.
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/products.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int dot_rows = 6;
#elif defined(__AVX2__)
constexpr int dot_rows = 3;
#else
constexpr int dot_rows = 2;
#endif
constexpr int dot_columns = 4;
// 4 rows of b are 16 KiB of it: they stay in the first-level cache while the rows of a pass by.
constexpr std::int64_t dot_depth = 1024;

// c [rows, 4] (+)= a b^T, lane by lane along the depth.
template <int rows>
void dot_tile(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
              const float* b, std::int64_t b_stride, std::int64_t columns, std::int64_t depth,
              bool accumulate) {
    // Past the last column the last one is repeated, and not stored.
    const float* column[dot_columns];
    for (int j = 0; j < dot_columns; ++j) {
        column[j] = b + (j < columns ? j : columns - 1) * b_stride;
    }
    Floats sum[rows][dot_columns] = {};
    std::int64_t k = 0;
    for (; k + lanes <= depth; k += lanes) {
        Floats bv[dot_columns];
#pragma GCC unroll 4
        for (int j = 0; j < dot_columns; ++j) {
            bv[j] = load(column[j] + k);
            __builtin_prefetch(column[j] + k + numbers_ahead);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            const Floats av = load(a + r * a_stride + k);
#pragma GCC unroll 4
            for (int j = 0; j < dot_columns; ++j) {
                sum[r][j] += av * bv[j];
            }
        }
    }
    if (k < depth) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            const Floats av = load_part(a + r * a_stride + k, depth - k);
#pragma GCC unroll 4
            for (int j = 0; j < dot_columns; ++j) {
                sum[r][j] += av * load_part(column[j] + k, depth - k);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
        const Quad total = sums(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
        float* out = c + r * c_stride;
        for (int j = 0; j < dot_columns && j < columns; ++j) {
            out[j] = accumulate ? out[j] + total[j] : total[j];
        }
    }
}

using DotFunction = void (*)(float*, std::int64_t, const float*, std::int64_t, const float*,
                             std::int64_t, std::int64_t, std::int64_t, bool);
#if defined(__AVX512F__)
constexpr DotFunction dot_tiles[dot_rows] = {dot_tile<1>, dot_tile<2>, dot_tile<3>,
                                             dot_tile<4>, dot_tile<5>, dot_tile<6>};
#elif defined(__AVX2__)
constexpr DotFunction dot_tiles[dot_rows] = {dot_tile<1>, dot_tile<2>, dot_tile<3>};
#else
constexpr DotFunction dot_tiles[dot_rows] = {dot_tile<1>, dot_tile<2>};
#endif

// c (+)= a [rows, depth] * b, without panels: for so few rows the copy would cost as much as the product. A number of b
// takes so few instructions that a prefetch a vector instead of a line, or a look at the last column with each, would
// be half of them.
constexpr int vectors_of_line = 16 / lanes;

// One row: the sums of up to `vectors` vectors of columns, the fewest that hold them, stay in registers while the rows
// of b pass by.
constexpr int one_row_vectors = 8;
constexpr std::int64_t one_row_ahead = 8; // rows of b

template <int vectors>
void multiply_one_row(float* c, const float* a, const float* b, std::int64_t b_stride,
                      std::int64_t columns, std::int64_t depth, bool accumulate) {
    if constexpr (vectors > 1) {
        if (columns <= (vectors - 1) * lanes) {
            multiply_one_row<vectors - 1>(c, a, b, b_stride, columns, depth, accumulate);
            return;
        }
    }
    constexpr int last = vectors - 1;
    Floats sum[vectors] = {};
    for (int v = 0; accumulate && v < vectors; ++v) {
        sum[v] = load_up_to(c + v * lanes, columns - v * lanes);
    }
    for (std::int64_t k = 0; k < depth; ++k) {
        const float* const row = b + k * b_stride;
        const Floats factor = broadcast(a[k]);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v += vectors_of_line) {
            __builtin_prefetch(row + one_row_ahead * b_stride + v * lanes);
        }
#pragma GCC unroll 8
        for (int v = 0; v < last; ++v) {
            sum[v] += factor * load(row + v * lanes);
        }
        sum[last] += factor * load_up_to(row + last * lanes, columns - last * lanes);
    }
    for (int v = 0; v < vectors; ++v) {
        store_up_to(c + v * lanes, sum[v], columns - v * lanes);
    }
}

// More rows would leave room for few columns: some rows of b at a time, in their own order, which the prefetchers
// follow; c stays in the first-level cache.
constexpr int rows_of_step = 4;

// The next `vectors` vectors of columns, or part of one.
template <int rows, int depth, int vectors>
void add_vectors(float* c, std::int64_t c_stride, const Floats (&factor)[rows][depth],
                 const float* b, std::int64_t b_stride, std::int64_t n) {
    Floats sum[rows][vectors];
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
            sum[r][v] = load_up_to(c + r * c_stride + v * lanes, n);
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < depth; ++k) {
        __builtin_prefetch(b + (k + depth) * b_stride);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
            const Floats from = load_up_to(b + k * b_stride + v * lanes, n);
#pragma GCC unroll 4
            for (int r = 0; r < rows; ++r) {
                sum[r][v] += factor[r][k] * from;
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
            store_up_to(c + r * c_stride + v * lanes, sum[r][v], n);
        }
    }
}

template <int rows, int depth>
void add_products(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                  const float* b, std::int64_t b_stride, std::int64_t columns) {
    Floats factor[rows][depth];
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int k = 0; k < depth; ++k) {
            factor[r][k] = broadcast(a[r * a_stride + k]);
        }
    }
    std::int64_t at = 0;
    for (; at + 16 <= columns; at += 16) {
        add_vectors<rows, depth, vectors_of_line>(c + at, c_stride, factor, b + at, b_stride,
                                                  lanes);
    }
    for (; at < columns; at += lanes) {
        add_vectors<rows, depth, 1>(c + at, c_stride, factor, b + at, b_stride, columns - at);
    }
}

template <int rows>
void add_all_products(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                      const float* b, std::int64_t b_stride, std::int64_t columns,
                      std::int64_t depth) {
    std::int64_t k = 0;
    for (; k + rows_of_step <= depth; k += rows_of_step) {
        add_products<rows, rows_of_step>(c, c_stride, a + k, a_stride, b + k * b_stride, b_stride,
                                         columns);
    }
    for (; k < depth; ++k) {
        add_products<rows, 1>(c, c_stride, a + k, a_stride, b + k * b_stride, b_stride, columns);
    }
}

using AddFunction = void (*)(float*, std::int64_t, const float*, std::int64_t, const float*,
                             std::int64_t, std::int64_t, std::int64_t);
constexpr AddFunction add_rows[direct_rows - 1] = {add_all_products<2>, add_all_products<3>,
                                                   add_all_products<4>};

} // namespace

void multiply_few_rows(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                       const float* b, std::int64_t b_stride, std::int64_t rows,
                       std::int64_t columns, std::int64_t depth) {
    const std::int64_t tiles = (rows + dot_rows - 1) / dot_rows;
    for (std::int64_t column = 0; column < columns; column += dot_columns) {
        for (std::int64_t k = 0; k < depth; k += dot_depth) {
            for (std::int64_t t = 0; t < tiles; ++t) {
                const std::int64_t first = rows * t / tiles;
                const std::int64_t height = rows * (t + 1) / tiles - first;
                dot_tiles[height - 1](c + first * c_stride + column, c_stride,
                                      a + first * a_stride + k, a_stride, b + column * b_stride + k,
                                      b_stride, columns - column, smaller(dot_depth, depth - k),
                                      k > 0);
            }
        }
    }
}

void multiply_directly(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                       const float* b, std::int64_t b_stride, std::int64_t rows,
                       std::int64_t columns, std::int64_t depth, bool accumulate) {
    if (rows == 1) {
        constexpr std::int64_t width = one_row_vectors * lanes;
        for (std::int64_t at = 0; at < columns; at += width) {
            multiply_one_row<one_row_vectors>(c + at, a, b + at, b_stride,
                                              smaller(width, columns - at), depth, accumulate);
        }
        return;
    }
    for (std::int64_t r = 0; r < rows && !accumulate; ++r) {
        for (std::int64_t at = 0; at < columns; at += lanes) {
            store_up_to(c + r * c_stride + at, Floats{}, columns - at);
        }
    }
    add_rows[rows - 2](c, c_stride, a, a_stride, b, b_stride, columns, depth);
}

} // namespace patchforge::PATCHFORGE_ISA
