// Sums that are longer than one block: `splits` blocks each take a part of the sum for the same
// tile of results, leave their partial results in the workspace, and the one that arrives last adds
// them up in the order of the splits. The order of the additions is therefore always the same,
// whichever block is last; no float atomics, and no second kernel (1.2 us a node of a graph).
//
// A partial result is stored by thread, so every access is coalesced whatever a tile looks like:
//     partial[((tile * splits + split) * values + value) * block size + thread]
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/cuda/workspace.h"

namespace patchforge::cuda {

// A sum of `total` terms as `splits` parts of `length` terms each, a multiple of `unit` and at
// least `smallest`; the last part may be shorter but is never empty. `tiles` tiles of results share
// the device, so that tiles * splits stays within blocks_to_fill_device.
struct SplitPlan {
    int length = 0;
    unsigned splits = 1;
};
inline SplitPlan plan_splits(std::int64_t total, std::int64_t tiles, int smallest, int unit) {
    const std::int64_t wanted = tiles < blocks_to_fill_device ? blocks_to_fill_device / tiles : 1;
    std::int64_t length = (total + wanted - 1) / wanted;
    length = length < smallest ? smallest : length;
    length = (length + unit - 1) / unit * unit;
    return {static_cast<int>(length), blocks_for(total, length)};
}

// Every block of a tile calls this with its part of the sums. True in the block that shall go on
// with the complete sums; all threads of a block get the same answer. `also` is one more sum.
template <int values>
__device__ bool sum_over_splits(float (&value)[values], float& also,
                                const SplitWorkspace& workspace, unsigned tile, unsigned split,
                                unsigned splits) {
    if (splits == 1) {
        return true;
    }
    const std::size_t stride = static_cast<std::size_t>(values + 1) * blockDim.x;
    float* of_thread = workspace.partial + tile * splits * stride + threadIdx.x;
    float* mine = of_thread + split * stride;
    PATCHFORGE_UNROLL
    for (int i = 0; i < values; ++i) {
        __stcg(mine + i * blockDim.x, value[i]);
    }
    __stcg(mine + values * blockDim.x, also);
    __threadfence();
    __syncthreads();
    const bool last =
        __syncthreads_or(threadIdx.x == 0 && atomicAdd(workspace.arrived + tile, 1u) == splits - 1);
    if (!last) {
        return false;
    }
    __threadfence();
    PATCHFORGE_UNROLL
    for (int i = 0; i < values; ++i) {
        value[i] = 0.0f;
    }
    also = 0.0f;
    PATCHFORGE_NO_UNROLL
    for (unsigned other = 0; other < splits; ++other) {
        const float* theirs = of_thread + other * stride;
        PATCHFORGE_UNROLL
        for (int i = 0; i < values; ++i) {
            value[i] += __ldcg(theirs + i * blockDim.x);
        }
        also += __ldcg(theirs + values * blockDim.x);
    }
    if (threadIdx.x == 0) {
        workspace.arrived[tile] = 0;
    }
    return true;
}

template <int values>
__device__ bool sum_over_splits(float (&value)[values], const SplitWorkspace& workspace,
                                unsigned tile, unsigned split, unsigned splits) {
    float nothing = 0.0f;
    return sum_over_splits(value, nothing, workspace, tile, split, splits);
}

} // namespace patchforge::cuda
