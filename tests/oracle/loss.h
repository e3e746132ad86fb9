// kernels/operations/loss.h in float64.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "kernels/operations/loss.h"
#include "tests/oracle/matrix.h"

namespace patchforge::oracle {

inline double sigmoid(double l) {
    return l >= 0 ? 1 / (1 + std::exp(-l)) : std::exp(l) / (1 + std::exp(l));
}

inline double binary_cross_entropy(double l, double target) {
    return std::max(l, 0.0) - l * target + std::log1p(std::exp(-std::fabs(l)));
}

// A loss of one logit and its derivative.
struct Term {
    double loss = 0;
    double derivative = 0;
};

inline Term cross_entropy_term(double l, double target) {
    return {binary_cross_entropy(l, target), sigmoid(l) - target};
}

inline Term real_term(GanLoss loss, double l, double real_label) {
    switch (loss) {
    case GanLoss::non_saturating:
    case GanLoss::minimax:
    case GanLoss::maximum_likelihood:
        return cross_entropy_term(l, real_label);
    case GanLoss::least_squares:
        return {(l - 1) * (l - 1) / 2, l - 1};
    case GanLoss::pearson:
        return {(l - 1) * (l - 1) / 2, l - 1};
    case GanLoss::hinge:
        return {std::max(0.0, 1 - l), l < 1 ? -1.0 : 0.0};
    case GanLoss::wasserstein:
        return {-l, -1};
    }
    throw std::invalid_argument("loss: unknown");
}

inline Term fake_term(GanLoss loss, double f) {
    switch (loss) {
    case GanLoss::non_saturating:
    case GanLoss::minimax:
    case GanLoss::maximum_likelihood:
        return cross_entropy_term(f, 0);
    case GanLoss::least_squares:
        return {f * f / 2, f};
    case GanLoss::pearson:
        return {(f + 1) * (f + 1) / 2, f + 1};
    case GanLoss::hinge:
        return {std::max(0.0, 1 + f), f > -1 ? 1.0 : 0.0};
    case GanLoss::wasserstein:
        return {f, 1};
    }
    throw std::invalid_argument("loss: unknown");
}

inline Term generator_term(GanLoss loss, double f) {
    switch (loss) {
    case GanLoss::non_saturating:
        return cross_entropy_term(f, 1);
    case GanLoss::minimax:
        return {-binary_cross_entropy(f, 0), -sigmoid(f)};
    case GanLoss::least_squares:
        return {(f - 1) * (f - 1) / 2, f - 1};
    case GanLoss::pearson:
        return {f * f / 2, f};
    case GanLoss::maximum_likelihood: // a straight line beyond 20
        return {-std::exp(std::min(f, 20.0)) * (1 + std::max(f - 20, 0.0)) / 2,
                -std::exp(std::min(f, 20.0)) / 2};
    case GanLoss::hinge:
    case GanLoss::wasserstein:
        return {-f, -1};
    }
    throw std::invalid_argument("loss: unknown");
}

struct LossAndGradient {
    std::vector<double> metrics; // in the order of DiscriminatorMetrics or GeneratorMetrics
    std::vector<double> d_logit;
};

inline LossAndGradient discriminator_loss(const std::vector<double>& logit, std::int64_t real_count,
                                          GanLoss loss, double real_label) {
    using Metrics = DiscriminatorMetrics;
    LossAndGradient result{std::vector<double>(Metrics::count), {}};
    const auto reals = static_cast<double>(real_count);
    const auto fakes = static_cast<double>(logit.size()) - reals;
    for (std::size_t row = 0; row < logit.size(); ++row) {
        const double l = logit[row];
        const bool real = static_cast<std::int64_t>(row) < real_count;
        const double share = 1 / (real ? reals : fakes);
        const Term term = real ? real_term(loss, l, real_label) : fake_term(loss, l);
        result.metrics[real ? Metrics::loss_real : Metrics::loss_fake] += term.loss * share;
        result.metrics[real ? Metrics::probability_real : Metrics::probability_fake] +=
            sigmoid(l) * share;
        result.metrics[Metrics::accuracy] += ((l > 0) == real) / (reals + fakes);
        result.d_logit.push_back(term.derivative * share);
    }
    return result;
}

inline LossAndGradient generator_loss(const std::vector<double>& logit, GanLoss loss) {
    LossAndGradient result{std::vector<double>(GeneratorMetrics::count), {}};
    const double share = 1 / static_cast<double>(logit.size());
    for (const double f : logit) {
        const Term term = generator_term(loss, f);
        result.metrics[GeneratorMetrics::loss] += term.loss * share;
        result.metrics[GeneratorMetrics::probability_fake] += sigmoid(f) * share;
        result.d_logit.push_back(term.derivative * share);
    }
    return result;
}

// Softmax cross-entropy of one row of logits: the loss, and softmax - one-hot.
inline LossAndGradient softmax_cross_entropy(const std::vector<double>& logit, std::int32_t label) {
    const double highest = *std::max_element(logit.begin(), logit.end());
    double sum = 0;
    for (const double l : logit) {
        sum += std::exp(l - highest);
    }
    const auto target = static_cast<std::size_t>(label);
    LossAndGradient result{{highest + std::log(sum) - logit.at(target)}, {}};
    for (std::size_t k = 0; k < logit.size(); ++k) {
        result.d_logit.push_back(std::exp(logit[k] - highest) / sum - (k == target));
    }
    return result;
}

} // namespace patchforge::oracle
