// The product of two matrices, one tile of the result a block: what all three operations of a
// linear layer come down to once a batch has more than 32 rows, or more than 8 on tensor cores
// (tensor_tile.h, which shares all of this but the multiplication).
//
//     result (m, n) = sum over k of a(m, k) b(n, k)
//
//                      a (m, k)                     b (n, k)                      k runs over
//     forward          x (row, input)    by depth   weight (output, input) by depth    inputs
//     input gradient   dz (row, output)  by depth   weight (output, input) by extent   outputs
//     weight gradient  dz (row, output)  by extent  x (row, input)         by extent   rows
//
// "By depth": neighbours in memory are neighbours along k; "by extent": along m or n. Both are kept
// in shared memory as they lie in global memory, so that 16-byte asynchronous copies bring them
// there; padding makes the reads of the inner loop free of bank conflicts:
//
//     by depth    value[extent][16 + 4]    a thread reads 4 steps of k in one 16-byte load; eight
//                                          neighbouring rows start at banks 0 20 8 28 16 4 24 12
//     by extent   value[16][extent + 8]    a thread reads 4 neighbours along the extent
//
// 256 threads are a 16 x 16 grid, 4 x 8 of them a warp; each owns (extent / 16)^2 results. A step
// of one in k costs extent / 32 shared loads for (extent / 16)^2 multiply-adds: 1 to 16 in tiles of
// 128, 1 to 8 in tiles of 64. Three stages of 16 steps each are in flight: 61 kB of shared memory
// in tiles of 128, and 68 kB for the results afterwards: two blocks a multiprocessor.
#pragma once

#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {

constexpr unsigned tile_threads = 256;
constexpr int tile_side_threads = 16;
constexpr int tile_depth = 16;

// The side of the tiles for a result of m x n: 128 where there are enough of them to fill half of
// the device, or to be split in at most eight to do so; else 64, also for rows without 16-byte
// access.
inline int tile_side(std::int64_t m, std::int64_t n, bool vectors) {
    const std::int64_t large_tiles = std::int64_t{blocks_for(m, 128)} * blocks_for(n, 128);
    return vectors && large_tiles >= 16 ? 128 : 64;
}

// A row-major matrix in global memory.
struct TileSource {
    const float* data;
    int rows;
    int columns;
};

// shared[r][c] = source(row + r, column + c) for a window of window_rows x window_columns; 0 beyond
// row_end and column_end. Asynchronous where `vectors`.
template <int window_rows, int window_columns, int pitch, bool vectors>
__device__ inline void copy_window(float* shared, const TileSource& source, int row, int row_end,
                                   int column, int column_end) {
    constexpr int quads_per_row = window_columns / 4;
    constexpr int quads = window_rows * quads_per_row;
    PATCHFORGE_NO_UNROLL // both addresses of a tile of 128 at once would spill
        for (int quad = static_cast<int>(threadIdx.x); quad < quads; quad += tile_threads) {
        const int r = quad / quads_per_row;
        const int c = 4 * (quad % quads_per_row);
        const int available = row + r < row_end ? column_end - (column + c) : 0;
        const float* from =
            source.data + static_cast<std::int64_t>(row + r) * source.columns + column + c;
        float* to = shared + r * pitch + c;
        if constexpr (vectors) {
            cp_async16(to, available > 0 ? from : source.data, available > 0 ? 16 : 0);
        } else {
            PATCHFORGE_UNROLL
            for (int e = 0; e < 4; ++e) {
                to[e] = e < available ? from[e] : 0.0f;
            }
        }
    }
}

template <int extent>
struct ByDepth {
    static constexpr int size = extent;
    static constexpr int per_thread = extent / tile_side_threads;
    static constexpr bool along_depth = true;

    struct Stage {
        float value[extent][tile_depth + 4];
    };

    __device__ static float at(const Stage& stage, int index, int k) {
        return stage.value[index][k];
    }

    // Where result number i of thread t (0 to 15) lies along the extent.
    __device__ static int index(int t, int i) { return t + tile_side_threads * i; }

    template <bool vectors>
    __device__ static void copy(Stage& stage, const TileSource& source, int first, int k,
                                int k_end) {
        copy_window<extent, tile_depth, tile_depth + 4, vectors>(&stage.value[0][0], source, first,
                                                                 source.rows, k, k_end);
    }

    // Calls use(step, i, value) for results i of thread t and the `steps` steps of k from `k` on.
    template <int steps, class Use>
    __device__ static void read(const Stage& stage, int t, int k, Use use) {
        PATCHFORGE_UNROLL
        for (int i = 0; i < per_thread; ++i) {
            float along_k[steps];
            load_shared(along_k, &stage.value[index(t, i)][k]);
            PATCHFORGE_UNROLL
            for (int step = 0; step < steps; ++step) {
                use(step, i, along_k[step]);
            }
        }
    }
};

template <int extent>
struct ByExtent {
    static constexpr int size = extent;
    static constexpr int per_thread = extent / tile_side_threads;
    static constexpr bool along_depth = false;

    struct Stage {
        float value[tile_depth][extent + 8];
    };

    __device__ static float at(const Stage& stage, int index, int k) {
        return stage.value[k][index];
    }

    // Groups of four neighbours.
    __device__ static int index(int t, int i) {
        return 4 * t + 4 * tile_side_threads * (i / 4) + i % 4;
    }

    template <bool vectors>
    __device__ static void copy(Stage& stage, const TileSource& source, int first, int k,
                                int k_end) {
        copy_window<tile_depth, extent, extent + 8, vectors>(&stage.value[0][0], source, k, k_end,
                                                             first, source.columns);
    }

    template <int steps, class Use>
    __device__ static void read(const Stage& stage, int t, int k, Use use) {
        PATCHFORGE_UNROLL
        for (int step = 0; step < steps; ++step) {
            PATCHFORGE_UNROLL
            for (int i = 0; i < per_thread; i += 4) {
                float quad[4];
                load_shared(quad, &stage.value[k + step][index(t, i)]);
                PATCHFORGE_UNROLL
                for (int e = 0; e < 4; ++e) {
                    use(step, i + e, quad[e]);
                }
            }
        }
    }
};

// The operands of a product on their way through shared memory.
template <class A, class B, int stages>
struct TileOperands {
    typename A::Stage a[stages];
    typename B::Stage b[stages];

    // Calls use(a's stage, b's stage) for every 16 steps of k_begin <= k < k_end, by all threads;
    // beyond k_end the stages hold 0.
    template <bool vectors, class Use>
    __device__ void stream(const TileSource& source_a, int first_m, const TileSource& source_b,
                           int first_n, int k_begin, int k_end, Use use) {
        const int count = (k_end - k_begin + tile_depth - 1) / tile_depth;
        const auto copy_stage = [&](int stage) {
            if (stage < count) {
                const int k = k_begin + stage * tile_depth;
                A::template copy<vectors>(a[stage % stages], source_a, first_m, k, k_end);
                B::template copy<vectors>(b[stage % stages], source_b, first_n, k, k_end);
            }
            cp_async_commit();
        };
        PATCHFORGE_UNROLL
        for (int stage = 0; stage < stages - 1; ++stage) {
            copy_stage(stage);
        }
        PATCHFORGE_NO_UNROLL
        for (int stage = 0; stage < count; ++stage) {
            cp_async_wait<stages - 2>();
            // Everybody's copies of this stage have landed, and everybody is done with the one
            // before, whose place the next copy takes.
            __syncthreads();
            copy_stage(stage + stages - 1);
            use(a[stage % stages], b[stage % stages]);
        }
        cp_async_wait<0>();
    }
};

// Calls visit(row, column, quad) for all quads of a tile in shared memory, in an order in which a
// warp writes whole lines.
template <int columns, int rows, int pitch, class Visit>
__device__ inline void visit_quads(const float (&result)[rows][pitch], Visit visit) {
    constexpr int quads_per_row = columns / 4;
    PATCHFORGE_NO_UNROLL
    for (int number = static_cast<int>(threadIdx.x); number < rows * quads_per_row;
         number += tile_threads) {
        const int row = number / quads_per_row;
        const int column = 4 * (number % quads_per_row);
        float quad[4];
        load_shared(quad, &result[row][column]);
        visit(row, column, quad);
    }
}

template <class LeftOperand, class RightOperand>
struct TileProduct {
    using A = LeftOperand;
    using B = RightOperand;
    static constexpr int results = A::per_thread * B::per_thread;
    static constexpr int resident_blocks = A::size == 64 ? 3 : 2; // what registers are kept for

    union Storage {
        TileOperands<A, B, 3> operands;
        float result[A::size][B::size + 4];
    };

    // The thread's place in the 16 x 16 grid.
    __device__ static int row_thread() {
        return static_cast<int>(threadIdx.x % 32 / 8 + threadIdx.x / 64 * 4);
    }
    __device__ static int column_thread() {
        return static_cast<int>(threadIdx.x % 8 + threadIdx.x / 32 % 2 * 8);
    }

    // result[i * B::per_thread + j] += the products of k_begin <= k < k_end for row
    // A::index(row_thread(), i) of the tile that starts at first_m and column
    // B::index(column_thread(), j) of the one at first_n. visit(stage of a) is called once for
    // every 16 steps, by all threads.
    template <bool vectors, class Visit>
    __device__ static void accumulate(float (&result)[results], Storage& storage,
                                      const TileSource& a, int first_m, const TileSource& b,
                                      int first_n, int k_begin, int k_end, Visit visit) {
        storage.operands.template stream<vectors>(
            a, first_m, b, first_n, k_begin, k_end,
            [&](const typename A::Stage& stage_a, const typename B::Stage& stage_b) {
                multiply(result, stage_a, stage_b);
                visit(stage_a);
            });
    }

    // Calls visit(row, column, quad) for four neighbouring results at a time: the results change
    // threads through shared memory.
    template <class Visit>
    __device__ static void for_each_quad(const float (&result)[results], Storage& storage,
                                         Visit visit) {
        __syncthreads(); // the operands have been read, and their place is taken
        PATCHFORGE_UNROLL
        for (int i = 0; i < A::per_thread; ++i) {
            PATCHFORGE_UNROLL
            for (int j = 0; j < B::per_thread; ++j) {
                storage.result[A::index(row_thread(), i)][B::index(column_thread(), j)] =
                    result[i * B::per_thread + j];
            }
        }
        __syncthreads();
        visit_quads<B::size>(storage.result, visit);
    }

  private:
    __device__ static void multiply(float (&result)[results], const typename A::Stage& a,
                                    const typename B::Stage& b) {
        // As many steps at once as give wide loads without spilling; 4, 2 and 1 for the three
        // products.
        constexpr int steps = 1 << (A::along_depth + B::along_depth);
        PATCHFORGE_NO_UNROLL
        for (int k = 0; k < tile_depth; k += steps) {
            // All of a, and b as it comes: at most 64 + 32 + 4 registers in tiles of 128.
            float of_a[steps][A::per_thread];
            A::template read<steps>(a, row_thread(), k,
                                    [&](int step, int i, float value) { of_a[step][i] = value; });
            B::template read<steps>(b, column_thread(), k, [&](int step, int j, float value) {
                PATCHFORGE_UNROLL
                for (int i = 0; i < A::per_thread; ++i) {
                    float& sum = result[i * B::per_thread + j];
                    sum = fmaf(of_a[step][i], value, sum);
                }
            });
        }
    }
};

} // namespace patchforge::cuda
