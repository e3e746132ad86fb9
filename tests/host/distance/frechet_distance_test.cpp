#include "host/distance/frechet_distance.h"

#include "tests/host/distance/feature_matrices.h"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>

namespace patchforge {
namespace {

double trace(const Moments& moments) {
    double sum = 0;
    for (std::int64_t i = 0; i < moments.dimension; ++i) {
        sum += moments.covariance[i * moments.dimension + i];
    }
    return sum;
}

TEST(Moments, OfThreeGreyImages) {
    const Moments moments = mean_and_covariance(filled(3, 12, [](auto i, auto) { return .5 * i; }));
    for (const double mean : moments.mean) {
        expect_near(mean, .5, 1e-15);
    }
    for (const double covariance : moments.covariance) {
        expect_near(covariance, .25, 1e-15);
    }
}

// Two passes over long double, entry by entry; 131 columns and 2051 rows cross tiles and steps.
TEST(Moments, MatchTheDefinition) {
    const Features features = normal_rows(2051, 131, 5, 1, 300);
    const Moments moments = mean_and_covariance(features);
    for (const std::int64_t a : {0, 63, 64, 130}) {
        for (const std::int64_t b : {0, 1, 64, 127, 130}) {
            long double mean_a = 0, mean_b = 0, sum = 0;
            for (std::int64_t i = 0; i < features.count; ++i) {
                mean_a += features.row(i)[a] / static_cast<long double>(features.count);
                mean_b += features.row(i)[b] / static_cast<long double>(features.count);
            }
            for (std::int64_t i = 0; i < features.count; ++i) {
                sum += (features.row(i)[a] - mean_a) * (features.row(i)[b] - mean_b);
            }
            expect_near(moments.covariance[a * 131 + b],
                        static_cast<double>(sum / (features.count - 1)), 1e-12);
        }
    }
}

TEST(FrechetDistance, OfPublishedSmallSets) {
    const Features real = filled(100, 2, [](auto i, auto j) { return j == 0 && i < 50 ? 2 : 1; });
    const Features generated =
        filled(100, 2, [](auto i, auto j) { return j == 1 || i < 50 ? 9 : 2; });
    expect_near(frechet_distance(real, generated), 89.09090909090909, 1e-10);
}

TEST(FrechetDistance, OfUnitGaussiansAtDistanceOneInEachCoordinate) {
    const std::int64_t d = 2048; // the published test's, as wide as the Inception features
    Moments moments{1000, d, std::vector<double>(d), std::vector<double>(d * d)};
    for (std::int64_t i = 0; i < d; ++i) {
        moments.covariance[i * d + i] = 1;
    }
    const GaussianFit first = fit_gaussian(moments);
    GaussianFit second = first;
    second.mean.assign(d, 1);
    expect_near(frechet_distance(first, second), 2048, 1e-9);
}

TEST(FrechetDistance, OfSineAndCosineRows) {
    // The rows are float32, the published value is of float64 rows.
    expect_near(frechet_distance(sine_rows(), cosine_rows()), 0.137221581982, 2e-8);
}

TEST(FrechetDistance, BothFormsAgree) {
    // 9 rows of 8 go through the covariance, 8 through the features; padding a set with a constant
    // column changes nothing but the form.
    const Features a = normal_rows(30, 20, 1), b = normal_rows(25, 20, 2, 2, 1);
    const auto widen = [](const Features& narrow) {
        return filled(narrow.count, 40, [&](auto i, auto j) {
            return j < narrow.dimension ? narrow.row(i)[j] : 3.f;
        });
    };
    const double by_covariance = frechet_distance(a, b);
    expect_near(frechet_distance(widen(a), widen(b)), by_covariance, 1e-11 * by_covariance);
    const Features singular = filled(30, 25, [&](auto i, auto j) { // 30 > 25, rank 20
        return j < 20 ? a.row(i)[j] : a.row(i)[j - 20];
    });
    const Features doubled =
        filled(25, 25, [&](auto i, auto j) { return j < 20 ? b.row(i)[j] : b.row(i)[j - 20]; });
    Moments moments = mean_and_covariance(doubled);
    const double mixed = frechet_distance(fit_gaussian(singular), fit_gaussian(doubled));
    const double covariances =
        frechet_distance(fit_gaussian(singular), fit_gaussian(std::move(moments)));
    expect_near(mixed, covariances, 1e-11 * covariances);
}

TEST(FrechetDistance, OfASetToItselfIsZero) {
    for (const std::int64_t n : {7, 33, 500}) { // features form, features form, covariance form
        const Features a = normal_rows(n, 33, 3, 5, 100);
        const double scale = trace(mean_and_covariance(a));
        expect_near(frechet_distance(a, a), 0, 1e-9 * scale);
    }
}

TEST(FrechetDistance, IsSymmetric) {
    const Features a = normal_rows(300, 31, 4), b = normal_rows(200, 31, 5, 1.5, .2);
    const double forward = frechet_distance(a, b);
    EXPECT_GT(forward, 1);
    expect_near(frechet_distance(b, a), forward, 1e-12 * forward);
}

TEST(FrechetDistance, GrowsByTheSquareOfAShift) {
    const Features a = filled(200, 7, [](auto i, auto j) { return std::sin(i * 3 + j); });
    const Features shifted = filled(200, 7, [&](auto i, auto j) {
        return a.row(i)[j] + (j == 2 ? 3 : j == 5 ? 4 : 0);
    });
    expect_near(frechet_distance(a, shifted), 25, 1e-4); // float32 rows
}

TEST(FrechetDistance, OfScaledGaussiansIsTheSquareOfTheirDeviationsApart) {
    const Features a = normal_rows(400, 16, 6);
    const Features twice = filled(400, 16, [&](auto i, auto j) { return 2 * a.row(i)[j]; });
    const Moments moments = mean_and_covariance(a);
    double means = 0;
    for (const double mean : moments.mean) {
        means += mean * mean;
    }
    const double expected = trace(moments) + means; // (2 - 1)^2 of each variance, and the mean
    expect_near(frechet_distance(a, twice), expected, 1e-11 * expected);
}

TEST(FrechetDistance, OfCommutingCovariancesAddsUpDeviationsApart) {
    const std::int64_t d = 9;
    Moments a{100, d, std::vector<double>(d), std::vector<double>(d * d)}, b = a;
    double expected = 0;
    for (std::int64_t i = 0; i < d; ++i) {
        a.covariance[i * d + i] = i * i; // one direction without variance
        b.covariance[i * d + i] = (2. * i + 1) * (2 * i + 1);
        expected += (i + 1) * (i + 1);
    }
    expect_near(frechet_distance(fit_gaussian(a), fit_gaussian(b)), expected, 1e-12 * expected);
}

TEST(FrechetDistance, IsTheSameOnAnyNumberOfThreads) {
    const Features a = normal_rows(1500, 150, 7), b = normal_rows(1100, 150, 8, 1.1);
    EXPECT_EQ(frechet_distance(a, b, 1), frechet_distance(a, b, 3));
    EXPECT_EQ(extrapolate_frechet_distance(a, b, 9, 300, 5, 1).at_infinity,
              extrapolate_frechet_distance(a, b, 9, 300, 5, 3).at_infinity);
}

TEST(FrechetDistance, ExtrapolatesTheBiasAway) {
    // Two samples of one distribution: the distance at n = 8000 is all bias.
    const Features a = normal_rows(40000, 16, 10), b = normal_rows(8000, 16, 11);
    const auto line = extrapolate_frechet_distance(a, b, 12, 1000, 15);
    EXPECT_EQ(line.counts.front(), 1000);
    EXPECT_EQ(line.counts.back(), 8000);
    expect_near(line.distances.back(), frechet_distance(a, b), 1e-10);
    EXPECT_GT(line.slope, 0);
    EXPECT_GT(line.r_squared, .95);
    EXPECT_TRUE(std::abs(line.at_infinity) < .35 * line.distances.back())
        << line.at_infinity << " against " << line.distances.back();
}

TEST(FrechetDistance, RejectsWhatDoesNotCompare) {
    EXPECT_THROW(frechet_distance(normal_rows(9, 3, 1), normal_rows(9, 4, 1)),
                 std::invalid_argument);
    EXPECT_THROW(frechet_distance(normal_rows(1, 3, 1), normal_rows(9, 3, 1)),
                 std::invalid_argument);
    Features broken = normal_rows(9, 3, 1);
    broken.values[4] = NAN;
    EXPECT_THROW(frechet_distance(normal_rows(9, 3, 1), broken), std::invalid_argument);
    broken.values.pop_back();
    EXPECT_THROW(frechet_distance(normal_rows(9, 3, 1), broken), std::invalid_argument);
    EXPECT_THROW(extrapolate_frechet_distance(normal_rows(9, 3, 1), normal_rows(9, 3, 2), 1, 9),
                 std::invalid_argument);
}

} // namespace
} // namespace patchforge
