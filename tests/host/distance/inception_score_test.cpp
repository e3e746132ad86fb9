#include "host/distance/inception_score.h"

#include "tests/host/distance/feature_matrices.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace patchforge {
namespace {

Features sine_logits() {
    return filled(60, 5, [](auto i, auto j) { return 3 * std::sin(0.1 * (i + 1) * (j + 1)); });
}

TEST(InceptionScore, OfSineLogits) {
    EXPECT_NEAR(inception_score(sine_logits(), 1).mean, 1.942617829979, 2e-7);
    EXPECT_NEAR(inception_score(sine_logits(), 3).mean, 1.846085486136, 2e-7);
    EXPECT_NEAR(inception_score(sine_logits(), 3).deviation, .198650819958, 2e-7);
}

TEST(InceptionScore, ReachesItsCeilingWhenCertainAndBalanced) {
    const Features certain =
        filled(100, 4, [](auto i, auto j) { return i % 4 == j ? 1000 : -1000; });
    const InceptionScore score = inception_score(certain, 5);
    EXPECT_NEAR(score.mean, 4, 1e-12);
    EXPECT_NEAR(score.deviation, 0, 1e-12);
    EXPECT_NEAR(score.ceiling, 4, 1e-12);
    EXPECT_EQ(score.classes_ceiling, 4);
}

TEST(InceptionScore, OfTwoClassesAtTheTissuePriorStopsAtItsEntropy) {
    // 2,839 of 10,000 patches show cancer: exp(H(.2839)) = 1.8159.
    const Features certain =
        filled(10000, 2, [](auto i, auto j) { return (i < 2839) == (j == 1) ? 50 : -50; });
    const InceptionScore score = inception_score(certain, 10, 2020);
    EXPECT_NEAR(score.ceiling, 1.8159, 5e-5);
    EXPECT_GT(score.mean, 1.8);
    EXPECT_LE(score.mean, 2);
}

TEST(InceptionScore, IsOneWhenNothingIsTold) {
    EXPECT_NEAR(inception_score(filled(40, 3, [](auto, auto) { return 7; }), 4).mean, 1, 1e-14);
    const Features always_one =
        filled(40, 3, [](auto, auto j) { return j == 0 ? 1000 : -1000; }); // others underflow to 0
    EXPECT_NEAR(inception_score(always_one, 4).mean, 1, 1e-14);
}

TEST(InceptionScore, StaysBetweenOneAndItsCeiling) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const InceptionScore score = inception_score(normal_rows(200, 6, seed, 4), 1, seed);
        EXPECT_GE(score.mean, 1) << "seed " << seed;
        EXPECT_LE(score.mean, score.ceiling + 1e-12) << "seed " << seed;
        EXPECT_LE(score.ceiling, 6 + 1e-12) << "seed " << seed;
    }
}

TEST(InceptionScore, DependsOnTheShuffleOnlyThroughTheSplits) {
    EXPECT_NEAR(inception_score(sine_logits(), 1, 1).mean, inception_score(sine_logits(), 1).mean,
                1e-12);
    EXPECT_NE(inception_score(sine_logits(), 3, 1).mean, inception_score(sine_logits(), 3, 2).mean);
    EXPECT_THROW(inception_score(sine_logits(), 61), std::invalid_argument);
    EXPECT_THROW(inception_score(sine_logits(), 0), std::invalid_argument);
}

} // namespace
} // namespace patchforge
