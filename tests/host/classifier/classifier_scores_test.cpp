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
