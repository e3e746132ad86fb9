// Sums over the planes of maps (a channel of a picture), in float64 and in a fixed order: by a block where
// a plane is long, by a warp where it is short.
#pragma once

#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/device.h"

namespace patchforge::cuda {

// From this many elements on a block sums a plane: with fewer, most of its threads had one to add.
constexpr std::int64_t plane_of_block = 1024;

inline unsigned blocks_for_planes(std::int64_t planes, std::int64_t elements) {
    return blocks_for(planes, elements >= plane_of_block ? 1 : reduction_block / 32);
}

// store(p, value) gets the sums over plane p of `elements` terms; terms(p) is what adds those of element
// i to them: add(i, value). Called by all threads of a grid of blocks_for_planes blocks.
template <unsigned warps, int values, class Terms, class Store>
__device__ void sum_over_planes(std::int64_t planes, int elements, BlockSumStorage<values>& storage,
                                const Terms& terms, const Store& store) {
    constexpr unsigned threads = 32 * warps;
    const std::int64_t p =
        std::int64_t{blockIdx.x} * (reduction_block / threads) + threadIdx.x / threads;
    double value[values];
    PATCHFORGE_UNROLL
    for (int k = 0; k < values; ++k) {
        value[k] = 0.0;
    }
    if (p < planes) {
        const auto add = terms(p);
        for (int i = static_cast<int>(threadIdx.x % threads); i < elements; i += threads) {
            add(i, value);
        }
    }
    if constexpr (warps == 1) {
        PATCHFORGE_UNROLL
        for (int k = 0; k < values; ++k) {
            PATCHFORGE_UNROLL
            for (int distance = 16; distance > 0; distance /= 2) {
                value[k] += __shfl_xor_sync(0xffffffffu, value[k], distance);
            }
        }
    } else {
        static_assert(threads == reduction_block);
        sum_over_block(value, storage);
    }
    if (p < planes && threadIdx.x % threads == 0) {
        store(p, value);
    }
}

} // namespace patchforge::cuda
