// Forward, rung 4: the inputs of an output are split among blocks, so that the device is full.
//
// 32 groups of 8 outputs x 4 splits: 128 blocks of 8 warps. Each block leaves its partial sums in a
// workspace; the one that arrives last adds them up in the order of the splits, so that the bits
// are the same in every run (kernels/cuda/split_sum.h) and no second kernel is needed.
//
// Predicted, 20 rows: 1024 warps x 512 bytes = 524 kB under way, every 600 ns: 0.87 TB/s, 8.8 us;
// unrolling puts about 1.6 loads of a warp under way: 5.4 us. The last block's sum adds 1 us: 6.4
// us. The 20 x 7.7 MB of x come from L1 (29 TB/s): 5.3 us beside it. Measured: see
// docs/measured/ladder.md; `not measured` until a GPU ran `make ladder`.
#include "bench/ladder/ladder.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/split_sum.h"

namespace patchforge::ladder {
namespace {

constexpr int most_rows = 32;
constexpr unsigned wanted_blocks = 128;

// A warp's sums are spread over its lanes: lane b keeps the one of row b.
__global__ void filled_device_kernel(Forward problem, int split_length) {
    const int lane = static_cast<int>(threadIdx.x % 32);
    const int output = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / 32);
    const int begin = static_cast<int>(blockIdx.y) * split_length;
    const int end = min(begin + split_length, problem.inputs());
    // Warps beyond the last output repeat it: every thread of a block takes part in the sum.
    const float* weight =
        problem.weight.data +
        static_cast<std::int64_t>(min(output, problem.outputs() - 1)) * problem.inputs();
    float sum[most_rows] = {};
    for (int i = begin + 4 * lane; i < end; i += 4 * 32) {
        float w[4];
        cuda::load_quad<true>(w, weight + i, end - i);
        PATCHFORGE_UNROLL
        for (int b = 0; b < most_rows; ++b) {
            if (b < problem.rows()) {
                float x[4];
                cuda::load_quad<true>(
                    x, problem.x.data + static_cast<std::int64_t>(b) * problem.inputs() + i,
                    end - i);
                for (int e = 0; e < 4; ++e) {
                    sum[b] = fmaf(w[e], x[e], sum[b]);
                }
            }
        }
    }
    float mine[1] = {};
    PATCHFORGE_UNROLL
    for (int b = 0; b < most_rows; ++b) {
        for (int distance = 16; distance > 0; distance /= 2) {
            sum[b] += __shfl_xor_sync(0xffffffffu, sum[b], distance);
        }
        mine[0] = b == lane ? sum[b] : mine[0];
    }
    if (cuda::sum_over_splits(mine, problem.workspace, blockIdx.x, blockIdx.y, gridDim.y) &&
        lane < problem.rows() && output < problem.outputs()) {
        problem.y.data[static_cast<std::int64_t>(lane) * problem.outputs() + output] =
            mine[0] + problem.bias.data[output];
    }
}

} // namespace

void forward_filled_device(const Forward& problem, cudaStream_t stream) {
    const unsigned groups = cuda::blocks_for(problem.outputs(), 8);
    const unsigned wanted = groups < wanted_blocks ? wanted_blocks / groups : 1;
    const int length = (problem.inputs() + static_cast<int>(wanted) - 1) / static_cast<int>(wanted);
    const int split_length = (length + 127) / 128 * 128;
    cuda::launch(filled_device_kernel,
                 {.grid = {groups, cuda::blocks_for(problem.inputs(), split_length)},
                  .block = 256,
                  .stream = stream,
                  .name = "forward_filled_device"},
                 problem, split_length);
}

} // namespace patchforge::ladder
