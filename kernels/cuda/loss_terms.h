// Loss and gradient of one logit (formulas in kernels/operations/loss.h).
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/operations/loss.h"

namespace patchforge::cuda {

struct LossTerm {
    float loss;
    float gradient;
};

// 1 / (1 + exp(-logit)) without overflow on either side.
__device__ inline float sigmoid(float logit) {
    const float small = expf(-fabsf(logit));
    return (logit >= 0.0f ? 1.0f : small) / (1.0f + small);
}

__device__ inline LossTerm cross_entropy(float logit, float target) {
    return {fmaxf(logit, 0.0f) - logit * target + log1pf(expf(-fabsf(logit))),
            sigmoid(logit) - target};
}

// max(0, margin), keeping a NaN.
__device__ inline LossTerm hinge(float margin, float slope) {
    return margin < 0.0f ? LossTerm{0.0f, 0.0f} : LossTerm{margin, margin == 0.0f ? 0.0f : slope};
}

__device__ inline LossTerm discriminator_term(GanLoss loss, float logit, bool is_real,
                                              float real_label) {
    switch (loss) {
    case GanLoss::non_saturating:
    case GanLoss::minimax:
        return cross_entropy(logit, is_real ? real_label : 0.0f);
    case GanLoss::least_squares: {
        const float distance = is_real ? logit - 1.0f : logit;
        return {0.5f * distance * distance, distance};
    }
    case GanLoss::hinge:
        return is_real ? hinge(1.0f - logit, -1.0f) : hinge(1.0f + logit, 1.0f);
    case GanLoss::wasserstein:
        break;
    }
    return is_real ? LossTerm{-logit, -1.0f} : LossTerm{logit, 1.0f};
}

__device__ inline LossTerm generator_term(GanLoss loss, float logit) {
    switch (loss) {
    case GanLoss::non_saturating:
        return cross_entropy(logit, 1.0f);
    case GanLoss::minimax: {
        const LossTerm fake = cross_entropy(logit, 0.0f);
        return {-fake.loss, -fake.gradient};
    }
    case GanLoss::least_squares:
        return {0.5f * (logit - 1.0f) * (logit - 1.0f), logit - 1.0f};
    case GanLoss::hinge:
    case GanLoss::wasserstein:
        break;
    }
    return {-logit, -1.0f};
}

} // namespace patchforge::cuda
