// Forward, rung 1: one thread for every result.
//
// Correct at the first try, and slow for two reasons. Neighbouring threads read weights 30,000
// bytes apart, so every load instruction touches 32 lines. And 5120 results are 5120 threads: 160
// warps on a device that keeps 8448 under way, each with one load after the other.
//
// Predicted, 20 rows, H100 at 1.755 GHz: a thread takes 7500 steps. Of eight, seven find their 32
// bytes in L1 (33 cycles), one goes to memory (about 600): 7500 / 8 x (7 x 33 + 600) cycles = 443
// us, and 46 us for the multiply-adds that wait for them (11 cycles a step): 490 us. Measured: see
// docs/measured/ladder.md; `not measured` until a GPU ran `make ladder`.
#include "bench/ladder/ladder.h"

namespace patchforge::ladder {
namespace {

__global__ void naive_kernel(Forward problem) {
    const int output = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = static_cast<int>(blockIdx.y);
    if (output >= problem.outputs()) {
        return;
    }
    const float* x = problem.x.data + static_cast<std::int64_t>(row) * problem.inputs();
    const float* weight =
        problem.weight.data + static_cast<std::int64_t>(output) * problem.inputs();
    float sum = problem.bias.data[output];
    for (int i = 0; i < problem.inputs(); ++i) {
        sum = fmaf(x[i], weight[i], sum);
    }
    problem.y.data[static_cast<std::int64_t>(row) * problem.outputs() + output] = sum;
}

} // namespace

void forward_naive(const Forward& problem, cudaStream_t stream) {
    cuda::launch(
        naive_kernel,
        {.grid = {cuda::blocks_for(problem.outputs(), 128), static_cast<unsigned>(problem.rows())},
         .block = 128,
         .stream = stream,
         .name = "forward_naive"},
        problem);
}

} // namespace patchforge::ladder
