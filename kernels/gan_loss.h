// The losses of GANs, one answer of the discriminator at a time: loss and derivative by the logit.
// Both backends compute this text, the CPU with Number = double, kernels with float.
#pragma once

#include <cmath>

#include "kernels/random.h"

namespace patchforge {

// The classic pairs (Lucic et al., "Are GANs Created Equal?", 2018), and the least squares whose
// minimum is Pearson's chi-squared divergence (Mao et al., "Least Squares Generative Adversarial
// Networks", 2017, a, b, c = -1, 1, 0): D's answers are centred, so that 0 parts right from wrong. l = D's logit on real
// rows, f = on fake rows; D(.) = sigmoid of the logit; L(l, t) = binary cross-entropy; r = real
// label, which only non_saturating and minimax know. Means are over the rows of the true batch.
//                   discriminator                          generator
//   non_saturating  mean L(l, r) + mean L(f, 0)            mean L(f, 1)
//   minimax         the same                               -mean L(f, 0)
//   least_squares   mean (l - 1)^2 / 2 + mean f^2 / 2      mean (f - 1)^2 / 2
//   pearson         mean (l - 1)^2 / 2 + mean (f + 1)^2/2  mean f^2 / 2
//   hinge           mean max(0, 1 - l) + mean max(0, 1+f)  -mean f
//   wasserstein     mean f - mean l                        -mean f
//   maximum_likelihood   that of non_saturating            -mean exp(f) / 2
// The last (Goodfellow, "On distinguishability criteria for estimating generative models", 2014) has, where D
// is at its best, the gradient of the likelihood of the patches: exp(f) = D / (1 - D) is the ratio of the
// densities. Beyond a logit of `likelihood_bound` it goes on in a straight line, so that it is finite.
enum class GanLoss {
    non_saturating,
    minimax,
    least_squares,
    hinge,
    wasserstein,
    pearson,
    maximum_likelihood
};

namespace gan_loss {

template <class Number>
struct LossTerm {
    Number loss;
    Number slope;
};

// 1 / (1 + exp(-logit)) without overflow on either side.
template <class Number>
PATCHFORGE_HOST_DEVICE inline Number sigmoid(Number logit) {
    const Number small = std::exp(-std::fabs(logit));
    return (logit >= 0 ? Number(1) : small) / (1 + small);
}

// Stable binary cross-entropy with target t: finite, with its gradient, for every finite logit.
template <class Number>
PATCHFORGE_HOST_DEVICE inline LossTerm<Number> cross_entropy(Number logit, Number target) {
    return {std::fmax(logit, Number(0)) - logit * target + std::log1p(std::exp(-std::fabs(logit))),
            sigmoid(logit) - target};
}

template <class Number>
PATCHFORGE_HOST_DEVICE inline LossTerm<Number> half_square(Number distance) {
    return {Number(0.5) * distance * distance, distance};
}

// max(0, margin), keeping a NaN.
template <class Number>
PATCHFORGE_HOST_DEVICE inline LossTerm<Number> hinge(Number margin, Number slope) {
    return margin < 0 ? LossTerm<Number>{0, 0} : LossTerm<Number>{margin, margin == 0 ? 0 : slope};
}

constexpr int likelihood_bound = 20; // exp(20) = 5e8

template <class Number>
PATCHFORGE_HOST_DEVICE inline LossTerm<Number> likelihood(Number logit) {
    const Number bound = likelihood_bound;
    const Number slope = Number(-0.5) * std::exp(logit > bound ? bound : logit);
    return {logit > bound ? slope * (1 + logit - bound) : slope, slope};
}

// What an answer to a real or to a fake row adds to the discriminator's loss.
template <class Number>
PATCHFORGE_HOST_DEVICE inline LossTerm<Number> discriminator_term(GanLoss loss, Number logit,
                                                                  bool real, Number real_label) {
    switch (loss) {
    case GanLoss::non_saturating:
    case GanLoss::minimax:
    case GanLoss::maximum_likelihood:
        return cross_entropy(logit, real ? real_label : Number(0));
    case GanLoss::least_squares:
        return half_square(real ? logit - 1 : logit);
    case GanLoss::pearson:
        return half_square(real ? logit - 1 : logit + 1);
    case GanLoss::hinge:
        return real ? hinge(1 - logit, Number(-1)) : hinge(1 + logit, Number(1));
    case GanLoss::wasserstein:
        break;
    }
    return real ? LossTerm<Number>{-logit, -1} : LossTerm<Number>{logit, 1};
}

// What an answer to a fake row adds to the generator's.
template <class Number>
PATCHFORGE_HOST_DEVICE inline LossTerm<Number> generator_term(GanLoss loss, Number logit) {
    switch (loss) {
    case GanLoss::non_saturating:
        return cross_entropy(logit, Number(1));
    case GanLoss::minimax: {
        const LossTerm<Number> fake = cross_entropy(logit, Number(0));
        return {-fake.loss, -fake.slope};
    }
    case GanLoss::least_squares:
        return half_square(logit - 1);
    case GanLoss::pearson:
        return half_square(logit);
    case GanLoss::maximum_likelihood:
        return likelihood(logit);
    case GanLoss::hinge:
    case GanLoss::wasserstein:
        break;
    }
    return {-logit, -1};
}

} // namespace gan_loss
} // namespace patchforge
