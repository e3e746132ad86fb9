#include "host/distance/memorisation.h"

#include "host/numerics/k_means.h"
#include "host/numerics/mann_whitney.h"
#include "tests/host/distance/feature_matrices.h"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

namespace patchforge {
namespace {

TEST(MannWhitney, MatchesCountingPairs) {
    PhiloxSequence random(21);
    std::vector<double> a, b;
    for (int i = 0; i < 57; ++i) {
        a.push_back(static_cast<double>(random.below(15)));
    }
    for (int i = 0; i < 83; ++i) {
        b.push_back(static_cast<double>(random.below(15)) + 3);
    }
    double u = 0;
    for (const double x : a) {
        for (const double y : b) {
            u += x > y ? 1 : x == y ? .5 : 0;
        }
    }
    const MannWhitney result = mann_whitney(a, b);
    EXPECT_EQ(result.u, u);
    EXPECT_LT(result.z, -1);
    EXPECT_NEAR(mann_whitney(b, a).z, -result.z, 1e-12);
    EXPECT_EQ(mann_whitney(b, a).u, 57 * 83 - u);
}

TEST(MannWhitney, CorrectsForTies) {
    // a = 1 1 2, b = 1 2 2: u = 1/2 + 1/2 + 1 + 2/2 = 3, groups of 3 and 3,
    // variance = 9/12 (7 - 48/30) = 4.05.
    const MannWhitney result =
        mann_whitney(std::vector<double>{1, 1, 2}, std::vector<double>{1, 2, 2});
    EXPECT_EQ(result.u, 3);
    EXPECT_NEAR(result.z, -1.5 / std::sqrt(4.05), 1e-14);
    EXPECT_EQ(mann_whitney(std::vector<double>{4, 4}, std::vector<double>{4}).z, 0);
    EXPECT_THROW(mann_whitney({}, std::vector<double>{1}), std::invalid_argument);
}

TEST(Quantile, InterpolatesBetweenOrderStatistics) {
    EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, .5), 2.5);
    EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, .05), 1.15);
    EXPECT_EQ(quantile({4, 1, 3, 2}, 1), 4);
    EXPECT_THROW(quantile({}, .5), std::invalid_argument);
}

TEST(KMeans, FindsSeparatedClusters) {
    const Features features = filled(300, 2, [](auto i, auto j) {
        return 100 * (i % 3) + 50 * j * (i % 2) * (i % 3 == 1) + std::sin(i * 7 + j);
    });
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        const Features centres = k_means(features, 4, seed);
        std::set<std::int64_t> used;
        for (const Neighbour& neighbour : nearest_neighbours(features, centres, 1)) {
            used.insert(neighbour.index);
            EXPECT_LT(neighbour.distance, 3) << "seed " << seed;
        }
        EXPECT_EQ(used.size(), 4u) << "seed " << seed;
    }
    EXPECT_THROW(k_means(features, 301, 5), std::invalid_argument);
}

class MemorisationTest : public testing::TestWithParam<std::int64_t> {
  protected:
    const Features training_ = normal_rows(600, 12, 31);
    const Features held_out_ = normal_rows(400, 12, 32);
    const MemorisationOptions options_{.cells = GetParam()};
};

TEST_P(MemorisationTest, FreshImagesAreNotCopies) {
    const Memorisation result =
        memorisation(training_, normal_rows(400, 12, 33), held_out_, options_);
    EXPECT_LT(std::abs(result.c_t), 3);
    EXPECT_NEAR(result.ratio, .05, .04);
    EXPECT_GE(result.cells_used, 1);
}

TEST_P(MemorisationTest, CopiesGiveALargeNegativeScore) {
    const Features noise = normal_rows(400, 12, 34, .02);
    const Features copies =
        filled(400, 12, [&](auto i, auto j) { return training_.row(i)[j] + noise.row(i)[j]; });
    const Memorisation result = memorisation(training_, copies, held_out_, options_);
    EXPECT_LT(result.c_t, GetParam() == 1 ? -20 : -8);
    EXPECT_GT(result.ratio, .99);
    for (std::int64_t i = 0; i < 400; ++i) {
        EXPECT_EQ(result.generated_to_training[i].index, i);
    }
}

TEST_P(MemorisationTest, FarImagesGiveALargePositiveScore) {
    const Memorisation result =
        memorisation(training_, normal_rows(400, 12, 35, 2), held_out_, options_);
    EXPECT_GT(result.c_t, 5);
    EXPECT_LT(result.ratio, .01);
}

INSTANTIATE_TEST_SUITE_P(Cells, MemorisationTest, testing::Values(1, 4));

TEST(Memorisation, FindsCopiesInOneCellOnly) {
    // Two clusters; only the second is copied, and the first underfits.
    const auto clusters = [](std::uint64_t seed, double first_scale) {
        const Features rows = normal_rows(400, 6, seed);
        return filled(400, 6, [&](auto i, auto j) {
            return i < 200 ? first_scale * rows.row(i)[j] : 100 + rows.row(i)[j];
        });
    };
    const Features training = clusters(36, 1), held_out = clusters(37, 1);
    Features generated = clusters(38, 2);
    std::copy(training.values.begin() + 200 * 6, training.values.end(),
              generated.values.begin() + 200 * 6);
    const auto candidates = copy_candidates(memorisation(training, generated, held_out), 200);
    ASSERT_EQ(candidates.size(), 200u);
    for (const CopyCandidate& candidate : candidates) {
        EXPECT_GE(candidate.generated, 200);
        EXPECT_EQ(candidate.training.index, candidate.generated);
        EXPECT_EQ(candidate.training.distance, 0);
        EXPECT_GT(candidate.held_out.distance, 0);
    }
}

TEST(Memorisation, RejectsEmptyAndUnequalSets) {
    const Features a = normal_rows(9, 3, 1);
    EXPECT_THROW(memorisation(a, normal_rows(9, 4, 1), a), std::invalid_argument);
    EXPECT_THROW(memorisation(a, a, Features{0, 3, {}}), std::invalid_argument);
}

} // namespace
} // namespace patchforge
