// How well scores in [0, 1] tell two classes apart.
#pragma once

#include <cstdint>
#include <span>

namespace patchforge {

struct Interval {
    double low = 0;
    double high = 1;
};

// Wilson's score interval for a share: `successes` of `trials`, both >= 0, 95 % by default.
// No trials say nothing: [0, 1]. Wilson (1927), "Probable inference, the law of succession, and
// statistical inference".
Interval wilson_interval(std::int64_t successes, std::int64_t trials, double z = 1.959963984540054);

// Area under the ROC curve = share of (positive, negative) pairs that the scores put in the right
// order, a tie counting one half (Mann-Whitney U / pairs). NaN when one class is absent.
// `labels`: 0 is negative, anything else positive. Throws std::invalid_argument when the lengths
// differ or a score is NaN.
double area_under_curve(std::span<const float> scores, std::span<const std::uint8_t> labels);
// The same of two sets, positive and negative.
double area_under_curve_of_sets(std::span<const float> positive, std::span<const float> negative);

// A share whose denominator is zero is NaN (its interval [0, 1]).
struct BinaryScores {
    std::int64_t true_positives = 0, false_negatives = 0;
    std::int64_t true_negatives = 0, false_positives = 0;
    double accuracy = 0;          // share called right
    double balanced_accuracy = 0; // mean of sensitivity and specificity
    double sensitivity = 0;       // share of the positives called positive
    double specificity = 0;       // share of the negatives called negative
    double auc = 0;
    Interval accuracy_interval, sensitivity_interval, specificity_interval; // Wilson, 95 %
};

// Calls a score >= threshold positive. Errors as area_under_curve.
BinaryScores binary_scores(std::span<const float> scores, std::span<const std::uint8_t> labels,
                           double threshold = 0.5);

} // namespace patchforge
