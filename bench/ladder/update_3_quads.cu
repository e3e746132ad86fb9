// Update, rung 3: four neighbouring weights a thread, asked for before the gradient is summed.
//
// 16-byte accesses: a quarter of the instructions for the same bytes, and 48 bytes of w, m and v
// under way in every thread while it sums 20 products for each of its four gradients.
//
// Predicted, 20 rows: 15.4 us of bytes. Loads of dz and x: 0.6 M warp loads, of which those of x
// carry 512 bytes and take four cycles: 0.3 M x 4 + 0.3 M = 1.5 M cycles on 132
// multiprocessors, 6.5 us, half of it under the bytes: 19 us. Measured: see
// docs/measured/ladder.md; `not measured` until a GPU ran `make ladder`.
#include "bench/ladder/ladder.h"
#include "kernels/cuda/adam_rates.h"
#include "kernels/cuda/adam_update.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::ladder {
namespace {

__global__ void quads_kernel(Update problem) {
    const int input = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * 4;
    const int output = static_cast<int>(blockIdx.y);
    const int available = problem.inputs() - input;
    const std::int64_t first = static_cast<std::int64_t>(output) * problem.inputs() + input;
    float value[4], first_moment[4], second_moment[4];
    cuda::load_quad<true>(value, problem.weight.value.data + first, available);
    cuda::load_quad<true>(first_moment, problem.weight.first_moment.data + first, available);
    cuda::load_quad<true>(second_moment, problem.weight.second_moment.data + first, available);

    float gradient[4] = {};
    for (int b = 0; b < problem.rows(); ++b) {
        const auto row = static_cast<std::int64_t>(b);
        const float dz = problem.dz.data[row * problem.outputs() + output];
        float x[4];
        cuda::load_quad<true>(x, problem.x.data + row * problem.inputs() + input, available);
        PATCHFORGE_UNROLL
        for (int e = 0; e < 4; ++e) {
            gradient[e] = fmaf(dz, x[e], gradient[e]);
        }
    }

    const cuda::AdamConstants constants = cuda::adam_constants(problem.adam, nullptr);
    const cuda::AdamUpdate step(constants,
                                cuda::adam_rates::of(problem.adam, problem.adam.step.value()));
    step.apply(value, first_moment, second_moment, gradient);
    cuda::store_quad<true>(problem.weight.value.data + first, value, available);
    cuda::store_quad<true>(problem.weight.first_moment.data + first, first_moment, available);
    cuda::store_quad<true>(problem.weight.second_moment.data + first, second_moment, available);
}

} // namespace

void update_quads(const Update& problem, cudaStream_t stream) {
    cuda::launch(quads_kernel,
                 {.grid = {cuda::blocks_for(problem.inputs(), 4 * 128),
                           static_cast<unsigned>(problem.outputs())},
                  .block = 128,
                  .stream = stream,
                  .name = "update_quads"},
                 problem);
}

} // namespace patchforge::ladder
