// Scores of logits whose answers can be counted by hand.
#include "host/classifier/classifier_scores.h"
#include "host/classifier/right_and_wrong.h"

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

// Forty patches of one pixel each, whose level is their number; every tenth is called wrong.
TEST(RightAndWrong, ShowsSomeOfEachEvenlySpaced) {
    std::vector<std::uint8_t> pixels(41);
    std::vector<std::int32_t> labels, called;
    PatchRows patches{pixels.data(), 41, 1, 1, 1, {}, {}};
    for (std::int32_t i = 0; i < 40; ++i) {
        pixels[static_cast<std::size_t>(i) + 1] = static_cast<std::uint8_t>(i);
        patches.subset.push_back(i + 1);
        labels.push_back(i % 4 == 3);
        called.push_back(i % 10 == 0 ? 1 - labels.back() : labels.back());
    }
    const ClassifierFormat format{1, 1, 1, {"no cancer", "cancer"}, false};
    const PictureSheet sheet = right_and_wrong(patches, labels, called, format);
    EXPECT_EQ(sheet.row_names, (std::vector<std::string>{"no cancer, called no cancer: 26 of 30",
                                                         "no cancer, called cancer: 4 of 30",
                                                         "cancer, called cancer: 10 of 10"}));
    ASSERT_EQ(sheet.rows.size(), 3u); // no cancer was missed
    const auto levels = [](const std::vector<Image>& row) {
        std::vector<int> all;
        for (const Image& picture : row) {
            all.push_back(picture.pixels.at(0));
        }
        return all;
    };
    EXPECT_EQ(levels(sheet.rows[1]), (std::vector<int>{0, 10, 20, 30}));
    // Numbers 0, 1, 2, 3, 5, 6, 7 and 8 of the ten: 8 of them, evenly.
    EXPECT_EQ(levels(sheet.rows[2]), (std::vector<int>{3, 7, 11, 15, 23, 27, 31, 35}));
    EXPECT_EQ(sheet.rows[0].size(), 8u);
    EXPECT_EQ(levels(sheet.rows[0]).front(), 1);
}

} // namespace
} // namespace patchforge
