// Reductions for metrics, in float64 and a fixed order; the iteration's bookkeeping.
#pragma once

#include "kernels/views.h"

namespace patchforge {

struct ReduceOperations {
    virtual ~ReduceOperations() = default;

    // out[0] = sum of x; sum of x^2. x may be empty: 0.
    virtual void sum(Vector<double> out, Vector<const float> x) = 0;
    virtual void sum_of_squares(Vector<double> out, Vector<const float> x) = 0;

    // out [C] = mean over the rows of x [B, C].
    virtual void column_mean(Vector<float> out, Matrix<const float> x) = 0;

    // out[0] = number of columns of x [B, C] with no element > 0: dead units of a (leaky) ReLU
    // layer.
    virtual void count_dead_columns(Vector<float> out, Matrix<const float> x) = 0;

    // The end of a recorded iteration: history[*step % history.rows, :] = metrics, then ++*step.
    // history [capacity, metrics.size].
    virtual void finish_iteration(std::uint64_t* step, Matrix<float> history,
                                  Vector<const float> metrics) = 0;
};

} // namespace patchforge
