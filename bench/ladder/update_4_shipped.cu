// Update, rung 4: the kernel that is shipped, backward_lanes.h with AdamStep, as the backend
// launches it.
//
// A block keeps 64 inputs of all rows of x and 128 rows of dz^T in shared memory: each is loaded
// once a block instead of once a weight row. A thread has two quads of w, m and v in work and the
// next two under way, 96 bytes always. The moments are marked to leave L2 first, so that the
// weights stay there for the next forward pass. Adam's rates are worked out before, once a step,
// not once a weight.
//
// Predicted, 20 rows: 46.1 MB at 3.0 TB/s, 15.4 us, and the first loads: 16 us.
// Measured: see docs/measured/ladder.md; `not measured` until a GPU ran `make ladder`.
#include "bench/ladder/ladder.h"

namespace patchforge::ladder {

void update_shipped(const Update& problem, Backend& backend) {
    backend.linear_weight_gradient_adam(problem.weight, {}, problem.dz, problem.x, problem.adam);
}

} // namespace patchforge::ladder
