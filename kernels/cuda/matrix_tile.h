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
// A thread owns 8 x 8 sums: 16-byte loads from shared memory and multiply-adds are 1 to 16. In tiles
// of 128 the 256 threads are a 16 x 16 grid. In tiles of 64 they are four slices of 8 x 8 threads;
// each slice takes four of a stage's 16 steps of k, and the four sums of a result are added at the
// end. Three stages are in flight: 61 kB of shared memory in tiles of 128, and up to 82 kB for the
// results afterwards: two blocks a multiprocessor.
//
// Shared memory returns 128 bytes a clock, so a 16-byte load of a warp takes four clocks even where
// lanes read the same; but two where all pairs of lanes l and l ^ 1 do, or all pairs l and l ^ 2
// (NVIDIA's answer at forums.developer.nvidia.com/t/77228). Lanes are laid out so that the first
// pairs share a column and the second ones a row: both operands then come in two.
#pragma once

#include "kernels/cuda/instructions.h"
#include "kernels/cuda/split_sum.h"

namespace patchforge::cuda {

constexpr unsigned tile_threads = 256;
constexpr int tile_depth = 16;
constexpr int tile_sums = 8; // of a thread, along each side

// What a split of the sum along k is worth starting a block for: four stages are predicted 2600 clocks of
// a float32 tile of 64, as much as leaving its sums in the workspace and adding up four of them.
constexpr int least_split_depth = 4 * tile_depth;

// The side of the tiles for a result of m x n: 128 where there are enough of them to fill half of
// the device, or to be split in at most eight to do so; else 64, also for rows without 16-byte
// access, and for up to 64 rows, which would leave half of a larger tile empty at the full price.
inline int tile_side(std::int64_t m, std::int64_t n, bool vectors) {
    const std::int64_t large_tiles = std::int64_t{blocks_for(m, 128)} * blocks_for(n, 128);
    return vectors && m > 64 && n > 64 && large_tiles >= 16 ? 128 : 64;
}

// A thread's place in a window of up to 128 rows is a 32-bit number of elements (TileWindow::copy).
constexpr std::int64_t widest_row = (std::int64_t{1} << 31) / 128 - 1;

// std::invalid_argument for rows that are longer than the products of tiles can take.
inline void require_narrow(const char* operation, std::initializer_list<std::int64_t> columns) {
    for (const std::int64_t count : columns) {
        if (count > widest_row) {
            throw std::invalid_argument(std::string(operation) + ": a layer of " +
                                        std::to_string(count) + " inputs or outputs; at most " +
                                        std::to_string(widest_row) + " on a GPU");
        }
    }
}

// A row-major matrix in global memory.
struct TileSource {
    const float* data;
    int rows;
    int columns;
};

// A window of window_rows x window_columns of a matrix on its way to shared memory.
template <int window_rows, int window_columns, int pitch>
class TileWindow {
  public:
    // The window's first element is source(row, column).
    __device__ TileWindow(const TileSource& source, int row, int column)
        : first_(source.data + static_cast<std::int64_t>(row) * source.columns + column),
          source_columns_(source.columns) {}

    __device__ void move(int rows, int columns) {
        first_ += static_cast<std::int64_t>(rows) * source_columns_ + columns;
    }

    // shared[r][c] = the window's element (r, c); 0 from rows_left and columns_left on, where
    // nothing is read. Asynchronous where `vectors`. Addresses are a pointer that all threads share
    // and an offset of the thread: few registers a thread, few instructions a stage.
    template <bool vectors>
    __device__ void copy(float* shared, int rows_left, int columns_left) const {
        const int row = static_cast<int>(threadIdx.x / quads_per_row);
        const int column = static_cast<int>(threadIdx.x % quads_per_row * 4);
        const int own = row * source_columns_ + column;
        if (quads < tile_threads && threadIdx.x >= quads) {
            return;
        }
        PATCHFORGE_UNROLL
        for (int passed = 0; passed < window_rows; passed += rows_at_once) {
            const int available = passed + row < rows_left ? columns_left - column : 0;
            const float* from = first_ + static_cast<std::int64_t>(passed) * source_columns_ + own;
            float* to = shared + (passed + row) * pitch + column;
            if constexpr (vectors) {
                cp_async16(to, from, available > 0 ? 16 : 0);
            } else {
                PATCHFORGE_UNROLL
                for (int e = 0; e < 4; ++e) {
                    to[e] = e < available ? from[e] : 0.0f;
                }
            }
        }
    }

  private:
    static constexpr unsigned quads_per_row = window_columns / 4;
    static constexpr unsigned quads = window_rows * quads_per_row;
    static constexpr int rows_at_once = static_cast<int>(tile_threads / quads_per_row);

    const float* first_;
    int source_columns_;
};

template <int extent>
struct ByDepth {
    using Source = TileSource;
    static constexpr int size = extent;
    static constexpr int threads = extent / tile_sums; // along this side
    static constexpr bool along_depth = true;
    static constexpr bool prepares = false; // see TileOperands::stream

    struct Stage {
        float value[extent][tile_depth + 4];
    };

    __device__ static float at(const Stage& stage, int index, int k) {
        return stage.value[index][k];
    }

    // Where sum number i of thread t lies along the extent.
    __device__ static int index(int t, int i) { return t + threads * i; }

    // The stages' way along k, from `first` along the extent and k on.
    struct Window {
        TileWindow<extent, tile_depth, tile_depth + 4> window;
        int extent_left;

        __device__ Window(const TileSource& source, int first, int k)
            : window(source, first, k), extent_left(source.rows - first) {}

        // Copies the next stage, of which depth_left steps exist.
        template <bool vectors>
        __device__ void copy_next(Stage& stage, int depth_left) {
            window.template copy<vectors>(&stage.value[0][0], extent_left, depth_left);
            window.move(0, tile_depth);
        }
    };

    // Calls use(step, i, value) for sums i of thread t and the `steps` steps of k from `k` on.
    template <int steps, class Use>
    __device__ static void read(const Stage& stage, int t, int k, Use use) {
        PATCHFORGE_UNROLL
        for (int i = 0; i < tile_sums; ++i) {
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
    using Source = TileSource;
    static constexpr int size = extent;
    static constexpr int threads = extent / tile_sums; // along this side
    static constexpr bool along_depth = false;
    static constexpr bool prepares = false;

    struct Stage {
        float value[tile_depth][extent + 8];
    };

    __device__ static float at(const Stage& stage, int index, int k) {
        return stage.value[k][index];
    }

    // Groups of four neighbours.
    __device__ static int index(int t, int i) { return 4 * t + 4 * threads * (i / 4) + i % 4; }

    // As in ByDepth.
    struct Window {
        TileWindow<tile_depth, extent, extent + 8> window;
        int extent_left;

        __device__ Window(const TileSource& source, int first, int k)
            : window(source, k, first), extent_left(source.columns - first) {}

        template <bool vectors>
        __device__ void copy_next(Stage& stage, int depth_left) {
            window.template copy<vectors>(&stage.value[0][0], depth_left, extent_left);
            window.move(tile_depth, 0);
        }
    };

    template <int steps, class Use>
    __device__ static void read(const Stage& stage, int t, int k, Use use) {
        PATCHFORGE_UNROLL
        for (int step = 0; step < steps; ++step) {
            PATCHFORGE_UNROLL
            for (int i = 0; i < tile_sums; i += 4) {
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
    // beyond k_end the stages hold 0. A side that `prepares` works out once a stage, by few threads,
    // what all need to copy it: one iteration ahead, in the stage's own place.
    template <bool vectors, class Use>
    __device__ void stream(const typename A::Source& source_a, int first_m,
                           const typename B::Source& source_b, int first_n, int k_begin, int k_end,
                           Use use) {
        typename A::Window window_a(source_a, first_m, k_begin);
        typename B::Window window_b(source_b, first_n, k_begin);
        const auto prepare = [&](int stage) {
            if constexpr (A::prepares) {
                window_a.prepare(a[stage]);
            }
            if constexpr (B::prepares) {
                window_b.prepare(b[stage]);
            }
        };
        if constexpr (A::prepares || B::prepares) {
            PATCHFORGE_NO_UNROLL
            for (int stage = 0; stage < stages; ++stage) {
                prepare(stage);
            }
            __syncthreads();
        }
        int place = 0; // of the stage that is next to be copied
        const auto copy_stage = [&](int depth_left) {
            if (depth_left > 0) {
                window_a.template copy_next<vectors>(a[place], depth_left);
                window_b.template copy_next<vectors>(b[place], depth_left);
            }
            cp_async_commit();
            place = place + 1 == stages ? 0 : place + 1;
        };
        int depth_left = k_end - k_begin;
        PATCHFORGE_UNROLL
        for (int stage = 0; stage < stages - 1; ++stage) {
            copy_stage(depth_left - stage * tile_depth);
        }
        PATCHFORGE_NO_UNROLL
        for (; depth_left > 0; depth_left -= tile_depth) {
            cp_async_wait<stages - 2>();
            // Everybody's copies of this stage have landed, and everybody is done with the one
            // before, whose place the next copy takes.
            __syncthreads();
            copy_stage(depth_left - (stages - 1) * tile_depth);
            // As many stages on, the place is this stage's.
            prepare(place);
            use(a[place], b[place]);
        }
        cp_async_wait<0>();
    }
};

// Calls visit(number, row, column) for the quads of a tile in shared memory that belong to this
// thread once the product is there: a warp's lie beside each other.
template <int rows, int columns, class Visit>
__device__ inline void for_own_quads(Visit visit) {
    constexpr int quads_per_row = columns / 4;
    PATCHFORGE_UNROLL
    for (int quad = 0; quad < rows * quads_per_row / static_cast<int>(tile_threads); ++quad) {
        const int number = quad * static_cast<int>(tile_threads) + static_cast<int>(threadIdx.x);
        visit(quad, number / quads_per_row, 4 * (number % quads_per_row));
    }
}

// sum_over_splits for the quads of a tile in shared memory, and for one more sum where there is one.
template <int columns, int rows, int pitch, class... Float>
__device__ inline bool sum_tile_over_splits(float (&tile)[rows][pitch],
                                            const SplitWorkspace& workspace, unsigned number,
                                            unsigned split, unsigned splits, Float&... also) {
    static_assert(sizeof...(Float) <= 1);
    if (splits == 1) {
        return true;
    }
    constexpr int values = rows * columns / static_cast<int>(tile_threads);
    float mine[values + sizeof...(Float)];
    for_own_quads<rows, columns>([&](int quad, int row, int column) {
        float value[4];
        load_shared(value, &tile[row][column]);
        PATCHFORGE_UNROLL
        for (int e = 0; e < 4; ++e) {
            mine[4 * quad + e] = value[e];
        }
    });
    ((mine[values] = also), ...);
    if (!sum_over_splits(mine, workspace, number, split, splits)) {
        return false;
    }
    for_own_quads<rows, columns>([&](int quad, int row, int column) {
        store_quad<true>(
            &tile[row][column],
            {mine[4 * quad], mine[4 * quad + 1], mine[4 * quad + 2], mine[4 * quad + 3]}, 4);
    });
    ((also = mine[values]), ...);
    return true;
}

// Calls visit(row, column, quad) for the thread's own quads of a tile in shared memory.
template <int columns, int rows, int pitch, class Visit>
__device__ inline void visit_quads(const float (&tile)[rows][pitch], Visit visit) {
    constexpr int quads_per_row = columns / 4;
    PATCHFORGE_NO_UNROLL
    for (int number = static_cast<int>(threadIdx.x); number < rows * quads_per_row;
         number += tile_threads) {
        const int row = number / quads_per_row;
        const int column = 4 * (number % quads_per_row);
        float quad[4];
        load_shared(quad, &tile[row][column]);
        visit(row, column, quad);
    }
}

template <class LeftOperand, class RightOperand>
struct TileProduct {
    using A = LeftOperand;
    using B = RightOperand;
    static constexpr unsigned slice_threads = A::threads * B::threads;
    static constexpr int slices = static_cast<int>(tile_threads / slice_threads);
    static constexpr int resident_blocks = 2; // what registers are kept for

    // Lanes that store sums together hit different banks: 2 x 4 lanes with a quad each (4 columns
    // apart, rows 1 or 4 apart), or 4 x 8 lanes with a single sum.
    static constexpr int pitch = B::size + (B::along_depth ? 8 : A::along_depth ? 16 : 4);

    union Storage {
        TileOperands<A, B, 3> operands;
        float result[A::size][pitch]; // the product, in the end
        float of_slice[slices][A::size][pitch];
    };

    // storage.result[m][n] = the products of k_begin <= k < k_end for row first_m + m of a and
    // first_n + n of b; for this thread's own quads. visit(stage of a) is called once for every 16
    // steps, by all threads.
    template <bool vectors, class Visit>
    __device__ static void multiply(Storage& storage, const typename A::Source& a, int first_m,
                                    const typename B::Source& b, int first_n, int k_begin,
                                    int k_end, Visit visit) {
        float sum[tile_sums][tile_sums] = {};
        storage.operands.template stream<vectors>(
            a, first_m, b, first_n, k_begin, k_end,
            [&](const typename A::Stage& stage_a, const typename B::Stage& stage_b) {
                multiply_stage(sum, stage_a, stage_b);
                visit(stage_a);
            });
        __syncthreads(); // the operands have been read, and their place is taken
        store_sums(storage.of_slice[slice()], sum);
        __syncthreads();
        if constexpr (slices > 1) {
            for_own_quads<A::size, B::size>([&](int, int row, int column) {
                float total[4];
                load_shared(total, &storage.of_slice[0][row][column]);
                PATCHFORGE_UNROLL
                for (int other = 1; other < slices; ++other) {
                    float quad[4];
                    load_shared(quad, &storage.of_slice[other][row][column]);
                    PATCHFORGE_UNROLL
                    for (int e = 0; e < 4; ++e) {
                        total[e] += quad[e];
                    }
                }
                store_quad<true>(&storage.result[row][column], total, 4);
            });
        }
    }

  private:
    __device__ static int slice() { return static_cast<int>(threadIdx.x / slice_threads); }

    // The thread's place in its slice's grid. A warp is 4 x 8 threads; bit 0 of the lane's number
    // goes to the row, bits 1 to 3 to the column, bit 4 to the row. In a tile of 16 rows, which are
    // two threads, it is 2 x 16: bits 1 to 4 go to the column.
    static constexpr int warp_rows = A::threads < 4 ? A::threads : 4;
    static constexpr int warp_columns = 32 / warp_rows;
    static constexpr unsigned warps_beside = B::threads / warp_columns;
    __device__ static int row_thread() {
        const unsigned lane = threadIdx.x % 32;
        const unsigned warp = threadIdx.x % slice_threads / 32;
        return static_cast<int>(lane % 2 + (warp_rows == 4 ? lane / 16 * 2 : 0) +
                                warp / warps_beside * warp_rows);
    }
    __device__ static int column_thread() {
        const unsigned lane = threadIdx.x % 32;
        const unsigned warp = threadIdx.x % slice_threads / 32;
        return static_cast<int>(lane / 2 % warp_columns + warp % warps_beside * warp_columns);
    }

    __device__ static void multiply_stage(float (&sum)[tile_sums][tile_sums],
                                          const typename A::Stage& a, const typename B::Stage& b) {
        // As many steps at once as give wide loads: 4, 2 and 1 for the three products; and as many
        // of these in a row as 128 registers hold, 64 of them the sums.
        constexpr int steps = 1 << (A::along_depth + B::along_depth);
        constexpr int in_a_row = steps == 2 ? 2 : 4;
        constexpr int slice_depth = tile_depth / slices;
        const int first = slice() * slice_depth;
        PATCHFORGE_NO_UNROLL
        for (int begin = first; begin < first + slice_depth; begin += in_a_row) {
            PATCHFORGE_UNROLL
            for (int k = begin; k < begin + in_a_row; k += steps) {
                float of_a[steps][tile_sums];
                A::template read<steps>(a, row_thread(), k, [&](int step, int i, float value) {
                    of_a[step][i] = value;
                });
                B::template read<steps>(b, column_thread(), k, [&](int step, int j, float value) {
                    PATCHFORGE_UNROLL
                    for (int i = 0; i < tile_sums; ++i) {
                        sum[i][j] = fmaf(of_a[step][i], value, sum[i][j]);
                    }
                });
            }
        }
    }

    __device__ static void store_sums(float (&tile)[A::size][pitch],
                                      const float (&sum)[tile_sums][tile_sums]) {
        PATCHFORGE_UNROLL
        for (int i = 0; i < tile_sums; ++i) {
            float* const row = tile[A::index(row_thread(), i)];
            PATCHFORGE_UNROLL
            for (int j = 0; j < tile_sums; j += B::along_depth ? 1 : 4) {
                float* const to = row + B::index(column_thread(), j);
                if constexpr (B::along_depth) {
                    *to = sum[i][j];
                } else {
                    store_quad<true>(to, {sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]},
                                     4);
                }
            }
        }
    }
};

} // namespace patchforge::cuda
