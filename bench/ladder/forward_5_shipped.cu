// Forward, rung 5: the kernel that is shipped, forward_lanes_kernel in
// kernels/cuda/linear_forward.cu, as the backend launches it.
//
// Four outputs a warp: four independent 16-byte loads under way and four more for the next step, so
// 120 blocks x 8 warps x 8 x 512 bytes = 3.9 MB under way where 1.8 MB suffice; x is read a quarter
// as often. The number of rows is a template argument: no `b < rows` in the loop. The final sums
// halve what a lane holds in each step, 31 shuffles for 32 sums instead of 160.
//
// Predicted, 20 rows: 7.7 MB of weights at 3.0 TB/s, 2.6 us, and 1 us for the sum over splits: 3.6
// us. Measured: see docs/measured/ladder.md; `not measured` until a GPU ran `make ladder`.
#include "bench/ladder/ladder.h"

namespace patchforge::ladder {

void forward_shipped(const Forward& problem, Backend& backend) {
    backend.linear_forward(problem.y, problem.x, problem.weight, problem.bias, {});
}

} // namespace patchforge::ladder
