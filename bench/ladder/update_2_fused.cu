// Update, rung 2: the gradient stays in a register and becomes a step of Adam at once.
//
// One kernel, one thread a weight, 24 instead of 32 bytes. A thread knows its gradient only after
// its 40 loads of dz and x, and asks for w, m and v only then.
//
// Predicted, 20 rows: 46.1 MB at 3.0 TB/s, 15.4 us; the 10.4 us of loads of dz and x hardly overlap
// with them: 26 us.
// Measured: see docs/measured/ladder.md; `not measured` until a GPU ran `make ladder`.
#include "bench/ladder/ladder.h"
#include "kernels/cuda/adam_rates.h"
#include "kernels/cuda/adam_update.h"

namespace patchforge::ladder {
namespace {

__global__ void fused_kernel(Update problem) {
    const int input = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int output = static_cast<int>(blockIdx.y);
    if (input >= problem.inputs()) {
        return;
    }
    float gradient = 0.0f;
    for (int b = 0; b < problem.rows(); ++b) {
        const auto row = static_cast<std::int64_t>(b);
        gradient = fmaf(problem.dz.data[row * problem.outputs() + output],
                        problem.x.data[row * problem.inputs() + input], gradient);
    }
    const std::int64_t weight = static_cast<std::int64_t>(output) * problem.inputs() + input;
    const cuda::AdamConstants constants = cuda::adam_constants(problem.adam, nullptr);
    const cuda::AdamUpdate step(constants,
                                cuda::adam_rates::of(problem.adam, problem.adam.step.value()));
    step.apply(problem.weight.value.data[weight], problem.weight.first_moment.data[weight],
               problem.weight.second_moment.data[weight], gradient);
}

} // namespace

void update_fused(const Update& problem, cudaStream_t stream) {
    cuda::launch(fused_kernel,
                 {.grid = {cuda::blocks_for(problem.inputs(), 256),
                           static_cast<unsigned>(problem.outputs())},
                  .block = 256,
                  .stream = stream,
                  .name = "update_fused"},
                 problem);
}

} // namespace patchforge::ladder
