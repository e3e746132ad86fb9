#include "bench/persistent_gate.h"

#include "kernels/cuda/grid_barrier.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::bench {
namespace {

constexpr unsigned block_size = 256;

__global__ void __launch_bounds__(block_size) barrier_rounds_kernel(BarrierRounds run) {
    const unsigned neighbour = (blockIdx.x + 1) % gridDim.x;
    cuda::GridBarrier barrier(run.arrived);
    for (unsigned round = 0; round < run.rounds; ++round) {
        if (threadIdx.x == 0) {
            __stcg(run.token + blockIdx.x, round + 1);
        }
        barrier.arrive_and_wait();
        // The neighbour may be a round further already.
        if (threadIdx.x == 0 && __ldcg(run.token + neighbour) < round + 1) {
            ++run.missed[blockIdx.x];
        }
    }
}

__global__ void __launch_bounds__(block_size) all_reduce_rounds_kernel(AllReduceRounds run) {
    const unsigned slice = (run.size + gridDim.x - 1) / gridDim.x;
    const unsigned begin = blockIdx.x * slice;
    const unsigned end = min(begin + slice, run.size);
    cuda::GridBarrier barrier(run.arrived);
    float* mine = run.part + static_cast<std::size_t>(blockIdx.x) * run.size;
    for (unsigned round = 0; round < run.rounds; ++round) {
        for (unsigned i = threadIdx.x; i < run.size; i += block_size) {
            __stcg(mine + i, static_cast<float>(blockIdx.x + i + round));
        }
        barrier.arrive_and_wait();
        for (unsigned i = begin + threadIdx.x; i < end; i += block_size) {
            float sum = 0.0f;
            for (unsigned block = 0; block < gridDim.x; ++block) {
                sum += __ldcg(run.part + static_cast<std::size_t>(block) * run.size + i);
            }
            __stcg(run.total + i, sum);
        }
        barrier.arrive_and_wait();
    }
}

__global__ void node_kernel(unsigned* counter) {
    cuda::begin_kernel();
    if (threadIdx.x == 0) {
        ++*counter;
    }
}

} // namespace

void launch_barrier_rounds(const BarrierRounds& run, unsigned blocks, cudaStream_t stream) {
    cuda::launch(barrier_rounds_kernel,
                 {.grid = {blocks},
                  .block = block_size,
                  .stream = stream,
                  .name = "barrier_rounds",
                  .cooperative = true},
                 run);
}

void launch_all_reduce_rounds(const AllReduceRounds& run, unsigned blocks, cudaStream_t stream) {
    cuda::launch(all_reduce_rounds_kernel,
                 {.grid = {blocks},
                  .block = block_size,
                  .stream = stream,
                  .name = "all_reduce_rounds",
                  .cooperative = true},
                 run);
}

void launch_node(unsigned* counter, cuda::Stream stream) {
    cuda::launch(node_kernel, {.grid = {1}, .block = 32, .stream = stream, .name = "node"},
                 counter);
}

} // namespace patchforge::bench
