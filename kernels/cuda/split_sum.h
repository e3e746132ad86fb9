// Sums that are longer than one block: `splits` blocks each take a part of the sum for the same
// tile of results, leave their partial results in the workspace, and the one that arrives last adds
// them up in the order of the splits. The order of the additions is therefore always the same,
// whichever block is last; no float atomics, and no second kernel (predicted 1.2 us a node).
//
// A partial result is stored by thread, so every access is coalesced whatever a tile looks like:
//     partial[((tile * splits + split) * values + value) * block size + thread]
#pragma once

#include <algorithm>

#include "kernels/cuda/device.h"
#include "kernels/cuda/workspace.h"

namespace patchforge::cuda {

// A sum of `total` terms as `splits` parts of `length` terms each, a multiple of `unit` and at
// least `smallest`; the last part may be shorter but is never empty. `tiles` tiles of results share
// the device, so that tiles * splits stays within split_blocks.
struct SplitPlan {
    int length = 0;
    unsigned splits = 1;
};
inline SplitPlan plan_splits(std::int64_t total, std::int64_t tiles, int smallest, int unit) {
    const std::int64_t wanted = tiles < split_blocks ? split_blocks / tiles : 1;
    std::int64_t length = (total + wanted - 1) / wanted;
    length = length < smallest ? smallest : length;
    length = (length + unit - 1) / unit * unit;
    return {static_cast<int>(length), blocks_for(total, length)};
}

// The same where the parts share no sum, so that their number changes no bit: of all splits the one
// whose longest multiprocessor has least to do. `places` blocks run at once; a block takes as long as
// one `unit` to start, and as long as its units then.
inline SplitPlan plan_parts(std::int64_t total, std::int64_t tiles, int unit, std::int64_t places) {
    const std::int64_t units = std::max<std::int64_t>((total + unit - 1) / unit, 1);
    std::int64_t best = units, shortest = 0;
    for (std::int64_t each = units; each >= 1; --each) {
        const std::int64_t blocks = tiles * ((units + each - 1) / each);
        const std::int64_t time = (blocks + places - 1) / places * (each + 1);
        if (shortest == 0 || time < shortest) {
            best = each;
            shortest = time;
        }
    }
    return {static_cast<int>(best * unit), static_cast<unsigned>((units + best - 1) / best)};
}

// Whether the block is the last of `blocks` to come here: what the others wrote before they came
// can then be read, past the first-level cache. One thread fences for all: the barrier before makes
// the block's writes happen before its fence, which is cumulative, and the barrier behind hands on
// what it has seen. 256 fences of a block would each wait for all of its stores.
__device__ inline bool arrives_last(unsigned* arrived, unsigned blocks) {
    __syncthreads();
    bool last = false;
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicAdd(arrived, 1u) == blocks - 1;
        __threadfence();
    }
    return __syncthreads_or(last);
}

constexpr unsigned split_threads = 256; // of every block that calls sum_over_splits

// Every block of a tile calls this with its part of the sums. True in the block that shall go on
// with the complete sums; all threads of a block get the same answer.
template <int values>
__device__ bool sum_over_splits(float (&value)[values], const SplitWorkspace& workspace,
                                unsigned tile, unsigned split, unsigned splits) {
    if (splits == 1) {
        return true;
    }
    constexpr unsigned stride = values * split_threads;
    float* of_thread =
        workspace.partial + static_cast<std::size_t>(tile) * splits * stride + threadIdx.x;
    float* mine = of_thread + split * stride;
    PATCHFORGE_UNROLL
    for (int i = 0; i < values; ++i) {
        __stcg(mine + i * split_threads, value[i]);
    }
    if (!arrives_last(workspace.arrived + tile, splits)) {
        return false;
    }
    PATCHFORGE_UNROLL
    for (int i = 0; i < values; ++i) {
        value[i] = 0.0f;
    }
    // L2 answers after some 300 clocks: several splits are asked for at once, as many as 48
    // registers hold, and added in their order. Adding 0 for one that does not exist changes no sum.
    constexpr unsigned at_once = values >= 48 ? 1 : values <= 3 ? 16 : 48 / values;
    PATCHFORGE_NO_UNROLL
    for (unsigned first = 0; first < splits; first += at_once) {
        float theirs[at_once][values];
        PATCHFORGE_UNROLL
        for (unsigned other = 0; other < at_once; ++other) {
            const float* from = of_thread + (first + other) * stride;
            PATCHFORGE_UNROLL
            for (int i = 0; i < values; ++i) {
                theirs[other][i] = first + other < splits ? __ldcg(from + i * split_threads) : 0.0f;
            }
        }
        PATCHFORGE_UNROLL
        for (unsigned other = 0; other < at_once; ++other) {
            PATCHFORGE_UNROLL
            for (int i = 0; i < values; ++i) {
                value[i] += theirs[other][i];
            }
        }
    }
    if (threadIdx.x == 0) {
        workspace.arrived[tile] = 0;
    }
    return true;
}

} // namespace patchforge::cuda
