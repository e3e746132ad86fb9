// Sums over the threads of a block of 256, in float64 and in a fixed order: lanes by a butterfly,
// then the eight warps one after the other.
#pragma once

#include "kernels/cuda/device.h"

namespace patchforge::cuda {

constexpr unsigned reduction_block = 256;

template <int values>
struct BlockSumStorage {
    double of_warp[values][reduction_block / 32];
};

// Afterwards thread 0 holds the sums; what the others hold is unspecified. Called by all threads.
template <int values>
__device__ void sum_over_block(double (&value)[values], BlockSumStorage<values>& storage) {
    PATCHFORGE_UNROLL
    for (int i = 0; i < values; ++i) {
        for (int distance = 16; distance > 0; distance /= 2) {
            value[i] += __shfl_xor_sync(0xffffffffu, value[i], distance);
        }
        if (threadIdx.x % 32 == 0) {
            storage.of_warp[i][threadIdx.x / 32] = value[i];
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        PATCHFORGE_UNROLL
        for (int i = 0; i < values; ++i) {
            value[i] = 0.0;
            for (unsigned warp = 0; warp < reduction_block / 32; ++warp) {
                value[i] += storage.of_warp[i][warp];
            }
        }
    }
}

// The same, and every thread gets them.
template <int values>
struct SharedSums {
    BlockSumStorage<values> parts;
    double of_block[values];
};
template <int values>
__device__ void share_sums(double (&value)[values], SharedSums<values>& storage) {
    sum_over_block(value, storage.parts);
    if (threadIdx.x == 0) {
        PATCHFORGE_UNROLL
        for (int i = 0; i < values; ++i) {
            storage.of_block[i] = value[i];
        }
    }
    __syncthreads();
    PATCHFORGE_UNROLL
    for (int i = 0; i < values; ++i) {
        value[i] = storage.of_block[i];
    }
}

} // namespace patchforge::cuda
