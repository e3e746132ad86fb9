#include "host/evaluate/binary_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "host/numerics/mann_whitney.h"

namespace patchforge {
namespace {

void check(std::span<const float> scores, std::span<const std::uint8_t> labels) {
    if (scores.size() != labels.size()) {
        throw std::invalid_argument(fmt::format("scores: {} scores for {} labels; give one of each",
                                                scores.size(), labels.size()));
    }
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (std::isnan(scores[i])) {
            throw std::invalid_argument(
                fmt::format("scores: score {} is NaN; look at the network that made it", i));
        }
    }
}

double share(std::int64_t part, std::int64_t whole) {
    return whole == 0 ? std::numeric_limits<double>::quiet_NaN()
                      : static_cast<double>(part) / static_cast<double>(whole);
}

} // namespace

Interval wilson_interval(std::int64_t successes, std::int64_t trials, double z) {
    if (successes < 0 || trials < successes) {
        throw std::invalid_argument(
            fmt::format("interval: {} of {} is not a share; count again", successes, trials));
    }
    if (trials == 0) {
        return {0, 1};
    }
    const double n = static_cast<double>(trials);
    const double p = static_cast<double>(successes) / n;
    const double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
    const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    // Rounding must not leave 1e-17 where the formula gives exactly 0 or 1.
    return {successes == 0 ? 0 : std::max(0.0, centre - half),
            successes == trials ? 1 : std::min(1.0, centre + half)};
}

double area_under_curve(std::span<const float> scores, std::span<const std::uint8_t> labels) {
    check(scores, labels);
    std::vector<double> positive, negative;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        (labels[i] ? positive : negative).push_back(scores[i]);
    }
    return positive.empty() || negative.empty()
               ? std::numeric_limits<double>::quiet_NaN()
               : mann_whitney(positive, negative).u /
                     (static_cast<double>(positive.size()) * static_cast<double>(negative.size()));
}

double area_under_curve_of_sets(std::span<const float> positive, std::span<const float> negative) {
    std::vector<float> scores(positive.begin(), positive.end());
    scores.insert(scores.end(), negative.begin(), negative.end());
    std::vector<std::uint8_t> labels(positive.size(), 1);
    labels.resize(scores.size(), 0);
    return area_under_curve(scores, labels);
}

BinaryScores binary_scores(std::span<const float> scores, std::span<const std::uint8_t> labels,
                           double threshold) {
    BinaryScores result;
    result.auc = area_under_curve(scores, labels);
    for (std::size_t i = 0; i < scores.size(); ++i) {
        const bool called_positive = scores[i] >= threshold;
        if (labels[i]) {
            (called_positive ? result.true_positives : result.false_negatives) += 1;
        } else {
            (called_positive ? result.false_positives : result.true_negatives) += 1;
        }
    }
    const std::int64_t positives = result.true_positives + result.false_negatives;
    const std::int64_t negatives = result.true_negatives + result.false_positives;
    const std::int64_t right = result.true_positives + result.true_negatives;
    result.accuracy = share(right, positives + negatives);
    result.sensitivity = share(result.true_positives, positives);
    result.specificity = share(result.true_negatives, negatives);
    result.balanced_accuracy = (result.sensitivity + result.specificity) / 2;
    result.accuracy_interval = wilson_interval(right, positives + negatives);
    result.sensitivity_interval = wilson_interval(result.true_positives, positives);
    result.specificity_interval = wilson_interval(result.true_negatives, negatives);
    return result;
}

} // namespace patchforge
