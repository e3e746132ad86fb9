// Kernel distance, nearest-neighbour balls, sliced distance: what compares two sets row by row.
#include "host/distance/kernel_distance.h"
#include "host/distance/neighbourhood.h"
#include "host/distance/sliced_distance.h"
#include "host/numerics/distances.h"
#include "tests/host/distance/feature_matrices.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

namespace patchforge {
namespace {

TEST(KernelDistance, OfSineAndCosineRows) {
    const KernelDiscrepancy result = kernel_discrepancy(sine_rows(), cosine_rows());
    expect_near(result.unbiased, -0.062840569581, 2e-8);
    expect_near(result.biased, 0.022748889085, 2e-8);
}

TEST(KernelDistance, OfOneSubsetOfEverythingIsTheWholeSets) {
    const Features a = normal_rows(60, 5, 1), b = normal_rows(60, 5, 2, 1.3);
    const KernelDistance result = kernel_distance(a, b, {.subsets = 3, .subset_size = 1000});
    EXPECT_EQ(result.subset_size, 60);
    // Products of rows are in float32 (1e-7 each), and so differ with the order of these.
    expect_near(result.mean, kernel_discrepancy(a, b).unbiased, 1e-7);
    expect_near(result.deviation, 0, 1e-7);
}

TEST(KernelDistance, IsNearZeroForOneDistributionAndNotForTwo) {
    const Features a = normal_rows(2000, 16, 3), b = normal_rows(2000, 16, 4);
    const Features other = normal_rows(2000, 16, 5, 1, .5);
    const KernelDistanceOptions options{.subsets = 20, .subset_size = 300};
    const KernelDistance same = kernel_distance(a, b, options);
    const KernelDistance different = kernel_distance(a, other, options);
    EXPECT_LT(std::abs(same.mean), .02);
    EXPECT_GT(different.mean, .2);
    EXPECT_EQ(kernel_distance(a, b, {.subsets = 20, .subset_size = 300, .threads = 3}).mean,
              same.mean);
    EXPECT_NE(kernel_distance(a, b, {.subsets = 20, .subset_size = 300, .seed = 1}).mean,
              same.mean);
}

TEST(Distances, MatchTheDefinitionOnRaggedSizes) {
    const Features a = normal_rows(131, 33, 6, 1, 20), b = normal_rows(517, 33, 7, 1, 20);
    std::int64_t seen = 0;
    for_each_distance_tile(a, b, 1, [&](const DistanceTile& tile) {
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            for (std::int64_t j = 0; j < tile.columns; ++j, ++seen) {
                double expected = 0;
                for (std::int64_t c = 0; c < 33; ++c) {
                    const double difference =
                        static_cast<double>(a.row(tile.row + i)[c]) - b.row(tile.column + j)[c];
                    expected += difference * difference;
                }
                ASSERT_TRUE(std::abs(tile.squared[i * tile.columns + j] - expected) <=
                            1e-9 * expected);
            }
        }
    });
    EXPECT_EQ(seen, 131 * 517);
}

TEST(Distances, OfNearCopiesKeepTheirDigits) {
    Features a = normal_rows(40, 333, 8, 1, 1000), b = a;
    for (std::int64_t i = 0; i < 40; i += 2) { // exact in float32 near 1000
        b.values[i * 333 + 5] += .0625f;
    }
    const auto nearest = nearest_neighbours(a, b, 1);
    for (std::int64_t i = 0; i < 40; ++i) {
        EXPECT_EQ(nearest[i].index, i);
        EXPECT_EQ(nearest[i].distance, i % 2 == 0 ? .0625 : 0);
    }
}

TEST(Distances, RadiusSkipsThePointItselfButNotItsCopies) {
    const Features line{5, 1, {0, 1, 3, 3, 10}};
    EXPECT_EQ(squared_radii(line, 1, 1), (std::vector<double>{1, 1, 0, 0, 49}));
    EXPECT_EQ(squared_radii(line, 2, 1), (std::vector<double>{9, 4, 4, 4, 49}));
    EXPECT_THROW(squared_radii(line, 5, 1), std::invalid_argument);
    EXPECT_THROW(squared_radii(line, 0, 1), std::invalid_argument);
}

TEST(PrecisionRecall, OfSineAndCosineRows) {
    const PrecisionRecall result = precision_recall(cosine_rows(), sine_rows(), 3);
    EXPECT_EQ(result.precision, .78125);
    EXPECT_EQ(result.recall, 1);
    expect_near(result.f1, 2 * .78125 / 1.78125, 1e-15);
    const DensityCoverage balls = density_coverage(cosine_rows(), sine_rows(), 3);
    expect_near(balls.density, .817708333333, 1e-12);
    expect_near(balls.coverage, .895833333333, 1e-12);
}

TEST(PrecisionRecall, KnowsWhichSetIsWhich) {
    const Features generated = normal_rows(200, 16, 9, .1), reference = normal_rows(200, 16, 10, 3);
    const PrecisionRecall result = precision_recall(reference, generated);
    EXPECT_GT(result.precision, .8);
    EXPECT_LT(result.recall, .3);
}

TEST(PrecisionRecall, CountsAPointOnTheEdge) {
    // Reference 0, 1: both balls have radius 1. Generated 2 is on the edge of the ball around 1.
    const Features reference{2, 1, {0, 1}}, generated{2, 1, {2, 9}};
    EXPECT_EQ(precision_recall(reference, generated, 1).precision, .5);
    EXPECT_EQ(density_coverage(reference, generated, 1).density, .5);
    EXPECT_EQ(density_coverage(reference, generated, 1).coverage, .5);
}

TEST(DensityCoverage, OfOneDistributionIsAsExpected) {
    expect_near(expected_coverage(10000, 10000, 5), .968773, 5e-7);
    expect_near(expected_coverage(1000, 1000, 3), .875375, 5e-7);
    const DensityCoverage result =
        density_coverage(normal_rows(1000, 8, 11), normal_rows(1000, 8, 12), 5);
    expect_near(result.density, 1, .1);
    expect_near(result.coverage, result.expected_coverage, .02);
}

TEST(Neighbourhoods, AreTheSameOnAnyNumberOfThreads) {
    const Features a = normal_rows(700, 20, 13), b = normal_rows(650, 20, 14, .9);
    EXPECT_EQ(precision_recall(a, b, 3, 1).f1, precision_recall(a, b, 3, 4).f1);
    EXPECT_EQ(density_coverage(a, b, 5, 1).density, density_coverage(a, b, 5, 4).density);
}

TEST(SlicedDistance, OfAShiftIsThreeDTimesItsSquare) {
    const Features a = normal_rows(4000, 64, 15), b = normal_rows(2000, 64, 16, 1, .7);
    const double expected = 3 * 64 * .7 * .7;
    expect_near(sliced_distance(a, b, 500), expected, .1 * expected);
    EXPECT_EQ(sliced_distance(a, a, 10), 0);
    EXPECT_EQ(sliced_distance(a, b, 50, 1, 1), sliced_distance(a, b, 50, 1, 3));
}

TEST(SetDistances, RejectWhatDoesNotCompare) {
    const Features a = normal_rows(9, 3, 1), other = normal_rows(9, 4, 1);
    EXPECT_THROW(kernel_distance(a, other), std::invalid_argument);
    EXPECT_THROW(kernel_distance(a, a, {.subsets = 0}), std::invalid_argument);
    EXPECT_THROW(precision_recall(a, other), std::invalid_argument);
    EXPECT_THROW(precision_recall(a, a, 9), std::invalid_argument);
    EXPECT_THROW(density_coverage(a, other), std::invalid_argument);
    EXPECT_THROW(sliced_distance(a, a, 0), std::invalid_argument);
}

} // namespace
} // namespace patchforge
