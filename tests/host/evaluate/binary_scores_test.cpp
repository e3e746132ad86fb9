#include "host/evaluate/binary_scores.h"

#include "host/numerics/philox_sequence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

namespace patchforge {
namespace {

TEST(WilsonInterval, MatchesPublishedValues) {
    // Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    const struct {
        int successes, trials;
        double low, high;
    } rows[] = {
        {81, 263, .2553, .3662}, {15, 148, .0624, .1605}, {0, 20, 0, .1611}, {1, 29, .0061, .1718}};
    for (const auto& row : rows) {
        const Interval interval = wilson_interval(row.successes, row.trials);
        EXPECT_NEAR(interval.low, row.low, 5e-5) << row.successes;
        EXPECT_NEAR(interval.high, row.high, 5e-5) << row.successes;
    }
    EXPECT_EQ(wilson_interval(0, 20).low, 0);
    EXPECT_EQ(wilson_interval(20, 20).high, 1);
}

TEST(WilsonInterval, WithoutTrialsSaysNothing) {
    EXPECT_EQ(wilson_interval(0, 0).low, 0);
    EXPECT_EQ(wilson_interval(0, 0).high, 1);
    EXPECT_THROW(wilson_interval(3, 2), std::invalid_argument);
    EXPECT_THROW(wilson_interval(-1, 2), std::invalid_argument);
}

TEST(AreaUnderCurve, IsTheShareOfPairsInOrder) {
    PhiloxSequence random(11);
    std::vector<float> scores;
    std::vector<std::uint8_t> labels;
    for (int i = 0; i < 301; ++i) {
        labels.push_back(random.below(3) == 0);
        scores.push_back(static_cast<float>(random.below(20) + 4 * labels.back())); // many ties
    }
    double right = 0, pairs = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        for (std::size_t j = 0; j < scores.size(); ++j) {
            if (labels[i] && !labels[j]) {
                pairs += 1;
                right += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? .5 : 0;
            }
        }
    }
    EXPECT_NEAR(area_under_curve(scores, labels), right / pairs, 1e-15);
}

TEST(AreaUnderCurve, OfOneClassIsNotANumber) {
    EXPECT_TRUE(std::isnan(
        area_under_curve(std::vector<float>{.1f, .2f}, std::vector<std::uint8_t>{1, 1})));
    EXPECT_TRUE(std::isnan(area_under_curve({}, {})));
}

TEST(BinaryScores, CountsEachKindOfCall) {
    const std::vector<float> scores{.9f, .5f, .4f, .6f, .1f, .2f, .3f};
    const std::vector<std::uint8_t> labels{1, 1, 1, 0, 0, 0, 0};
    const BinaryScores result = binary_scores(scores, labels);
    EXPECT_EQ(result.true_positives, 2); // .5 is on the threshold, and positive
    EXPECT_EQ(result.false_negatives, 1);
    EXPECT_EQ(result.true_negatives, 3);
    EXPECT_EQ(result.false_positives, 1);
    EXPECT_DOUBLE_EQ(result.accuracy, 5. / 7);
    EXPECT_DOUBLE_EQ(result.sensitivity, 2. / 3);
    EXPECT_DOUBLE_EQ(result.specificity, 3. / 4);
    EXPECT_DOUBLE_EQ(result.balanced_accuracy, (2. / 3 + 3. / 4) / 2);
    EXPECT_DOUBLE_EQ(result.auc, 10. / 12);
    EXPECT_EQ(result.sensitivity_interval.low, wilson_interval(2, 3).low);
}

TEST(BinaryScores, RejectsWhatIsNotAScore) {
    const std::vector<std::uint8_t> labels{0, 1};
    EXPECT_THROW(binary_scores(std::vector<float>{.5f}, labels), std::invalid_argument);
    EXPECT_THROW(
        binary_scores(std::vector<float>{.5f, std::numeric_limits<float>::quiet_NaN()}, labels),
        std::invalid_argument);
}

} // namespace
} // namespace patchforge
