// Pooling: one number for a window of each channel (kernels/pool.h says which). A row of x [B, in.size()]
// and of y [B, out.size()] is a picture. The pool has been validated.
#pragma once

#include "kernels/operations/activation.h"
#include "kernels/pool.h"
#include "kernels/views.h"

namespace patchforge {

struct PoolOperations {
    virtual ~PoolOperations() = default;

    // y = the maximum, the average or the sum of every window. A window with a NaN has it as its
    // maximum.
    virtual void pool(Matrix<float> y, Matrix<const float> x, const Pool& pool) = 0;

    // dx [B, in.size()] = the sum over the windows that cover a pixel of dy, or of dy by the window's
    // size, times previous'(x) for the epilogue that made x. A maximum's dy goes to the window's first
    // largest pixel in row-major order, all of it; which one that is is found again, not stored. For
    // averages and sums x is read only if `previous` is not the identity.
    virtual void pool_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                               const Pool& pool, const Epilogue& previous) = 0;
};

} // namespace patchforge
