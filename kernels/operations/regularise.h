// What keeps a GAN's training in bounds: noise on the discriminator's inputs, the pieces of the
// gradient penalty, an L1 term, a running mean of weights.
#pragma once

#include "kernels/random.h"
#include "kernels/views.h"

namespace patchforge {

// A standard deviation that falls linearly from `start` to 0 at iteration `end`; end = 0: it stays.
struct NoiseLevel {
    float start = 0;
    StepCount iteration{};
    std::uint64_t end = 0;
};

struct RegulariseOperations {
    virtual ~RegulariseOperations() = default;

    // x[e] += level * the standard normal number e of `random`, as fill_normal draws it.
    virtual void add_noise(Vector<float> x, const NoiseLevel& level,
                           const RandomStream& random) = 0;

    // y row r = a row r + alpha_r (b row r - a row r), alpha_r = uniform number r of `random`.
    // y, a, b [B, P]; y may be a or b.
    virtual void interpolate_rows(Matrix<float> y, Matrix<const float> a, Matrix<const float> b,
                                  const RandomStream& random) = 0;

    // g [B, P]: each row the gradient of D's answer by its input. With the slope
    // s_r = sqrt(1e-4 + ||g_r||^2), summed in float64 (the 1e-4 as in the code of Lucic et al.
    // 2018):
    //     penalty [B] = weight (s_r - 1)^2      u [B, P] = weight / B * 2 (s_r - 1) / s_r * g_r
    // u is the gradient of mean(penalty) by g. u may be g.
    virtual void penalise_slope(Matrix<float> u, Vector<float> penalty, Matrix<const float> g,
                                float weight) = 0;

    // d[e] += weight * sign(y[e] - target[e]), sign(0) = 0: the gradient of weight * ||y -
    // target||_1.
    virtual void add_l1_gradient(Vector<float> d, Vector<const float> y, Vector<const float> target,
                                 float weight) = 0;

    // mean[e] += (value[e] - mean[e]) / (count.value() + 1): over iterations, the mean of all
    // values.
    virtual void running_mean(Vector<float> mean, Vector<const float> value,
                              const StepCount& count) = 0;
};

} // namespace patchforge
