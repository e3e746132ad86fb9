// Pictures padded, cropped, doubled, shuffled and turned (kernels/resample.h has the rules). A row of x
// [B, in.size()] and of y [B, out.size()] is a picture. The rule has been validated.
#pragma once

#include "kernels/operations/activation.h"
#include "kernels/resample.h"
#include "kernels/views.h"

namespace patchforge {

struct ResampleOperations {
    virtual ~ResampleOperations() = default;

    // y = x laid out anew.
    virtual void resample(Matrix<float> y, Matrix<const float> x, const Resample& rule) = 0;

    // dx [B, in.size()] = the sum of dy over the outputs that read a pixel, by their weights, times
    // previous'(x) for the epilogue that made x. x is read only if that is not the identity.
    virtual void resample_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                                   const Resample& rule, const Epilogue& previous) = 0;
};

} // namespace patchforge
