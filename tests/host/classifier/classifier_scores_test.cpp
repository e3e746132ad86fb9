// Scores of logits whose answers can be counted by hand.
#include "host/classifier/classifier_scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace patchforge {
namespace {

// Of three positives two are called so, of five negatives four. Of the 15 pairs of a positive (2,
// 1, -1) and a negative (0.5, -2, -3, -4, -1) one is out of order (-1, 0.5) and one is a tie (-1,
// -1).
TEST(ClassifierScores, TwoClasses) {
    const std::vector<float> score = {2, 0.5, 1, -2, -1, -3, -4, -1};
    const std::vector<std::int32_t> labels = {1, 0, 1, 0, 1, 0, 0, 0};
    std::vector<float> logits;
    for (const float s : score) {
        logits.insert(logits.end(), {0.0f, s});
    }
    const ClassifierScores scores = score_logits(logits, labels, 2);
    EXPECT_NEAR(scores.accuracy, 6 / 8.0, 1e-12);
    EXPECT_NEAR(scores.sensitivity, 2 / 3.0, 1e-12);
    EXPECT_NEAR(scores.specificity, 4 / 5.0, 1e-12);
    EXPECT_NEAR(scores.balanced_accuracy, (2 / 3.0 + 4 / 5.0) / 2, 1e-12);
    EXPECT_NEAR(scores.auc, 13.5 / 15, 1e-12);
    double loss = 0;
    for (std::size_t i = 0; i < score.size(); ++i) {
        loss += std::log1p(std::exp(labels[i] == 1 ? -score[i] : score[i]));
    }
    EXPECT_NEAR(scores.loss, loss / 8, 1e-7);
}

// A lead parts what a threshold of the probability parts, and nothing else changes.
TEST(ClassifierScores, AThresholdMovesTheOperatingPoint) {
    const std::vector<float> score = {2, 0.5, 1, -2, -1, -3, -4, -1};
    const std::vector<std::int32_t> labels = {1, 0, 1, 0, 1, 0, 0, 0};
    std::vector<float> logits;
    for (const float s : score) {
        logits.insert(logits.end(), {0.25f, s + 0.25f});
    }
    const double t = 0.7; // 2 and 1 are above, 0.5 is below
    const ClassifierScores at = score_logits(logits, labels, 2, std::log(t / (1 - t)));
    EXPECT_NEAR(at.sensitivity, 2 / 3.0, 1e-12);
    EXPECT_NEAR(at.specificity, 1, 1e-12);
    const ClassifierScores plain = score_logits(logits, labels, 2);
    EXPECT_EQ(at.loss, plain.loss);
    EXPECT_EQ(at.auc, plain.auc);
    // The best parts 0.5 from 1.
    EXPECT_NEAR(best_threshold(logits, labels), 1 / (1 + std::exp(-0.75)), 1e-7);
    EXPECT_EQ(best_threshold(std::span(logits).first(2), std::span(labels).first(1)), 0.5);
}

TEST(ClassifierScores, NoThresholdIsBetterThanTheBest) {
    std::vector<float> logits;
    std::vector<std::int32_t> labels;
    std::uint32_t word = 5;
    for (int i = 0; i < 60; ++i) {
        word = word * 1664525 + 1013904223;
        const auto draw = static_cast<float>(word >> 8) / 0x1000000p0f;
        labels.push_back(i % 3 == 0);
        logits.insert(logits.end(),
                      {0, std::round((draw + (i % 3 == 0 ? 0.6f : 0)) * 20) / 10 - 2});
    }
    const auto balanced = [&](double t) {
        return score_logits(logits, labels, 2, std::log(t / (1 - t))).balanced_accuracy;
    };
    const double best = balanced(best_threshold(logits, labels));
    for (int i = 1; i < 1000; ++i) {
        ASSERT_LE(balanced(i / 1000.0), best + 1e-12) << i;
    }
    EXPECT_GT(best, balanced(0.5)); // or nothing was to be found
}

// Class 0: both right; class 1: one of two; class 2: one of three; class 3 has no patch.
TEST(ClassifierScores, FourClassesOfWhichOneIsMissing) {
    const std::vector<std::int32_t> called = {0, 0, 1, 0, 2, 1, 3};
    const std::vector<std::int32_t> labels = {0, 0, 1, 1, 2, 2, 2};
    std::vector<float> logits(7 * 4, 0.0f);
    for (std::size_t i = 0; i < 7; ++i) {
        logits[i * 4 + static_cast<std::size_t>(called[i])] = 500; // exp would overflow float32
    }
    const ClassifierScores scores = score_logits(logits, labels, 4);
    const double recall = (1 + 1 / 2.0 + 1 / 3.0) / 3;
    EXPECT_NEAR(scores.accuracy, 4 / 7.0, 1e-12);
    EXPECT_NEAR(scores.balanced_accuracy, recall, 1e-12);
    EXPECT_NEAR(scores.sensitivity, recall, 1e-12);
    // One of five called 0 wrongly, one of five called 1 wrongly, none of four called 2 wrongly.
    EXPECT_NEAR(scores.specificity, (4 / 5.0 + 4 / 5.0 + 1) / 3, 1e-12);
    // With scores of 0 and 1, the area is the mean of both shares.
    EXPECT_NEAR(scores.auc, (scores.sensitivity + scores.specificity) / 2, 1e-12);
    EXPECT_NEAR(scores.loss, 3 * 500 / 7.0, 1e-4);
}

} // namespace
} // namespace patchforge
