// The three costs that decide whether one kernel that stays on the device for many iterations could
// beat a graph of kernels (docs/persistent.md): a barrier of the whole grid, the sum of a small
// matrix over all blocks, and a node of a graph.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"

namespace patchforge::bench {

// `rounds` barriers of `blocks` blocks, which must all fit on the device at once. In each round a
// block leaves the round's number for its neighbour and checks, behind the barrier, that its own
// neighbour has done so: missed [blocks] counts the times it had not.
struct BarrierRounds {
    unsigned* arrived; // one number, 0 before the launch
    unsigned* token;   // [blocks], 0 before the launch
    unsigned* missed;  // [blocks], 0 before the launch
    unsigned rounds;
};
void launch_barrier_rounds(const BarrierRounds& run, unsigned blocks, cudaStream_t stream);

// `rounds` times total [size] = sum over the blocks of part [blocks][size], in the order of blocks:
// every block adds a slice of it, then all wait for all slices. Two barriers a round.
struct AllReduceRounds {
    unsigned* arrived; // one number, 0 before the launch
    float* part;       // [blocks][size]; each round writes part [b][i] = b + i + round anew
    float* total;      // [size]
    unsigned size;
    unsigned rounds;
};
void launch_all_reduce_rounds(const AllReduceRounds& run, unsigned blocks, cudaStream_t stream);

// A kernel that does nothing but depend on the one before.
void launch_node(unsigned* counter, cuda::Stream stream);

} // namespace patchforge::bench
