// Sums over the rows of 32 columns by a block of 256 threads, in float64 or float32: its eight warps take every
// eighth row, so that every row is read in 128-byte pieces, and meet in shared memory in their order.
#pragma once

#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/device.h"

namespace patchforge::cuda {

constexpr unsigned columns_per_block = 32;
constexpr unsigned warps_per_block = reduction_block / 32;

template <int values, class Number = double>
struct ColumnSumStorage {
    Number of_warp[values][warps_per_block][columns_per_block];
};

// Adds each value over the warps; every thread of a column gets the sums. Called by all threads.
template <int values, class Number>
__device__ void sum_over_warps(Number (&value)[values], ColumnSumStorage<values, Number>& storage) {
    const unsigned lane = threadIdx.x % 32;
    const unsigned warp = threadIdx.x / 32;
    PATCHFORGE_UNROLL
    for (int i = 0; i < values; ++i) {
        storage.of_warp[i][warp][lane] = value[i];
    }
    __syncthreads();
    PATCHFORGE_UNROLL
    for (int i = 0; i < values; ++i) {
        value[i] = 0;
        for (unsigned other = 0; other < warps_per_block; ++other) {
            value[i] += storage.of_warp[i][other][lane];
        }
    }
    __syncthreads(); // the storage may be used again
}

} // namespace patchforge::cuda
