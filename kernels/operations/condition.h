// What networks do with the class of a row: codes drawn around a mean of their class (conditioning
// augmentation: Zhang et al. 2017, "StackGAN"), classes that a picture does not have, and the inner product
// by which a discriminator judges whether a picture is of its class (projection: Miyato & Koyama 2018).
#pragma once

#include "kernels/random.h"
#include "kernels/views.h"

namespace patchforge {

struct ConditionOperations {
    virtual ~ConditionOperations() = default;

    // y [B, N] = m + exp(v / 2) noise, with statistics [B, 2 N]: the means m, then the logarithms v of the
    // variances, of either sign. y may be noise.
    virtual void augment_condition(Matrix<float> y, Matrix<const float> noise,
                                   Matrix<const float> statistics) = 0;

    // From dy [B, N]: d_statistics [B, 2 N] = dy, then dy noise exp(v / 2) / 2; d_noise [B, N] =
    // dy exp(v / 2), left out when empty. d_noise may be dy.
    virtual void augment_condition_gradient(Matrix<float> d_noise, Matrix<float> d_statistics,
                                            Matrix<const float> dy, Matrix<const float> noise,
                                            Matrix<const float> statistics) = 0;

    // divergence [1] = mean over the B N pairs of (m^2 + exp(v) - 1 - v) / 2, the Kullback-Leibler
    // divergence of N(m, exp(v)) from N(0, 1); d_statistics [B, 2 N] = scale times its gradient.
    virtual void gaussian_divergence(Matrix<float> d_statistics, Vector<float> divergence,
                                     Matrix<const float> statistics, float scale) = 0;

    // y [B]: y[b] = sum over c of p[b, c] q[b, c].
    virtual void row_dot(Vector<float> y, Matrix<const float> p, Matrix<const float> q) = 0;

    // dp [B, C] = dy[b] q[b, c], left out when empty, and dq [B, C] = dy[b] p[b, c].
    virtual void row_dot_gradient(Matrix<float> dp, Matrix<float> dq, Vector<const float> dy,
                                  Matrix<const float> p, Matrix<const float> q) = 0;

    // out [B]: one of the classes other than label[b], each alike: (label[b] + 1 + k) mod classes with
    // k = word b of the stream * (classes - 1) / 2^32, rounded down. classes >= 2, labels among them.
    virtual void other_labels(Vector<std::int32_t> out, Vector<const std::int32_t> label,
                              std::int64_t classes, const RandomStream& random) = 0;
};

} // namespace patchforge
