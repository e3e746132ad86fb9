// Memory of the backend that kernels leave intermediate sums in (kernels/cuda/split_sum.h).
#pragma once

#include <cstdint>

namespace patchforge::cuda {

// Blocks among which a sum is split at most. Fixed, not asked of the device, so that the order of
// the additions and with it the bits of a result do not depend on it: one block for every
// multiprocessor of the largest device this is built for (A100 108, H100 PCIe 114, H100 and H200 132).
// Where blocks share no sum, their number is the device's to say (plan_parts in split_sum.h).
constexpr int split_blocks = 132;

// Sums are split among no more blocks than that, and no block leaves more than a 128 x 128 tile
// with its 128 column sums. Twice the space, for a margin.
constexpr std::int64_t workspace_bytes = 2ll * split_blocks * (128 * 128 + 256) * 4;
constexpr int workspace_counters = split_blocks;

// All operations of a backend run in one order, so they share one of these.
struct SplitWorkspace {
    float* partial = nullptr;
    unsigned* arrived = nullptr; // zero between kernels: the last block of a tile clears its own
};

} // namespace patchforge::cuda
