// Update, rung 1: the gradient is stored, then Adam reads it back.
//
// Two kernels, one thread a weight. It is how frameworks do it, and what the bytes say against it:
// Adam reads and writes w, m and v (24 bytes a weight); the gradient in between adds 8.
//
// Predicted, 20 rows, 1.92 M weights: 61.4 MB at 3.0 TB/s, 20.5 us. The gradient takes 2 x 20 loads
// a weight, 2.4 M warp loads on 132 multiprocessors, one a cycle: 10.4 us. Two launches, 1.2 us
// each in a graph; the second waits for the first: 34 us. Measured: see docs/measured/ladder.md;
// `not measured` until a GPU ran `make ladder`.
#include "bench/ladder/ladder.h"
#include "kernels/cuda/adam_rates.h"
#include "kernels/cuda/adam_update.h"

namespace patchforge::ladder {
namespace {

__global__ void gradient_kernel(Update problem) {
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
    problem.gradient.data[static_cast<std::int64_t>(output) * problem.inputs() + input] = gradient;
}

__global__ void adam_kernel(Update problem) {
    const auto weight = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (weight < problem.weight.value.size) {
        const cuda::AdamConstants constants = cuda::adam_constants(problem.adam, nullptr);
        const cuda::AdamUpdate step(constants,
                                    cuda::adam_rates::of(problem.adam, problem.adam.step.value()));
        step.apply(problem.weight.value.data[weight], problem.weight.first_moment.data[weight],
                   problem.weight.second_moment.data[weight], problem.gradient.data[weight]);
    }
}

} // namespace

void update_naive(const Update& problem, cudaStream_t stream) {
    cuda::launch(gradient_kernel,
                 {.grid = {cuda::blocks_for(problem.inputs(), 256),
                           static_cast<unsigned>(problem.outputs())},
                  .block = 256,
                  .stream = stream,
                  .name = "update_naive_gradient"},
                 problem);
    cuda::launch(adam_kernel,
                 {.grid = {cuda::blocks_for(problem.weight.value.size, 256)},
                  .block = 256,
                  .stream = stream,
                  .name = "update_naive_adam"},
                 problem);
}

} // namespace patchforge::ladder
