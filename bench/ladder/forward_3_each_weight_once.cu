// Forward, rung 3: one warp for every output and all rows: each weight is read once.
//
// A lane reads four weights with one 16-byte load, multiplies them with the same four inputs of
// every row of x and keeps a sum for each row. Memory now carries 7.7 MB, 2.6 us worth of it; but
// there are only 256 warps, and each has one load under way.
//
// Predicted, 20 rows: 256 warps x 512 bytes = 131 kB under way, every 600 ns once: 0.22 TB/s, 36
// us. (Little's law: 3 TB/s x 600 ns = 1.8 MB must be under way.) Slower than rung 2! A step down
// that makes the next step up possible. Measured: see docs/measured/ladder.md; `not measured` until
// a GPU ran `make ladder`.
#include "bench/ladder/ladder.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::ladder {
namespace {

constexpr int most_rows = 32;

__global__ void each_weight_once_kernel(Forward problem) {
    const int lane = static_cast<int>(threadIdx.x % 32);
    const int output = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / 32);
    if (output >= problem.outputs()) {
        return;
    }
    const float* weight =
        problem.weight.data + static_cast<std::int64_t>(output) * problem.inputs();
    float sum[most_rows] = {};
    for (int i = 4 * lane; i < problem.inputs(); i += 4 * 32) {
        float w[4];
        cuda::load_quad<true>(w, weight + i, problem.inputs() - i);
        PATCHFORGE_UNROLL
        for (int b = 0; b < most_rows; ++b) {
            if (b < problem.rows()) {
                float x[4];
                cuda::load_quad<true>(
                    x, problem.x.data + static_cast<std::int64_t>(b) * problem.inputs() + i,
                    problem.inputs() - i);
                for (int e = 0; e < 4; ++e) {
                    sum[b] = fmaf(w[e], x[e], sum[b]);
                }
            }
        }
    }
    PATCHFORGE_UNROLL
    for (int b = 0; b < most_rows; ++b) {
        for (int distance = 16; distance > 0; distance /= 2) {
            sum[b] += __shfl_xor_sync(0xffffffffu, sum[b], distance);
        }
        if (lane == 0 && b < problem.rows()) {
            problem.y.data[static_cast<std::int64_t>(b) * problem.outputs() + output] =
                sum[b] + problem.bias.data[output];
        }
    }
}

} // namespace

void forward_each_weight_once(const Forward& problem, cudaStream_t stream) {
    cuda::launch(each_weight_once_kernel,
                 {.grid = {cuda::blocks_for(problem.outputs(), 8)},
                  .block = 256,
                  .stream = stream,
                  .name = "forward_each_weight_once"},
                 problem);
}

} // namespace patchforge::ladder
