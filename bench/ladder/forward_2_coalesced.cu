// Forward, rung 2: one warp for every result, lanes along the inputs.
//
// A load instruction now reads 128 neighbouring bytes, and 5120 warps fill the device. The 32
// partial sums of a warp are added by five shuffles. What is left: every weight is read by 20
// warps.
//
// Predicted, 20 rows: 20 x 7.7 MB of weights from L2, which answers with about 5.5 TB/s: 28 us.
// Measured: see docs/measured/ladder.md; `not measured` until a GPU ran `make ladder`.
#include "bench/ladder/ladder.h"

namespace patchforge::ladder {
namespace {

__global__ void coalesced_kernel(Forward problem) {
    const int lane = static_cast<int>(threadIdx.x % 32);
    const int output = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / 32);
    const int row = static_cast<int>(blockIdx.y);
    if (output >= problem.outputs()) {
        return; // the whole warp: its shuffles miss nobody
    }
    const float* x = problem.x.data + static_cast<std::int64_t>(row) * problem.inputs();
    const float* weight =
        problem.weight.data + static_cast<std::int64_t>(output) * problem.inputs();
    float sum = 0.0f;
    for (int i = lane; i < problem.inputs(); i += 32) {
        sum = fmaf(x[i], weight[i], sum);
    }
    for (int distance = 16; distance > 0; distance /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    }
    if (lane == 0) {
        problem.y.data[static_cast<std::int64_t>(row) * problem.outputs() + output] =
            sum + problem.bias.data[output];
    }
}

} // namespace

void forward_coalesced(const Forward& problem, cudaStream_t stream) {
    cuda::launch(
        coalesced_kernel,
        {.grid = {cuda::blocks_for(problem.outputs(), 8), static_cast<unsigned>(problem.rows())},
         .block = 256,
         .stream = stream,
         .name = "forward_coalesced"},
        problem);
}

} // namespace patchforge::ladder
