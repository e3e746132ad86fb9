// The extractors that need no classifier: principal components and the random network.
#include "host/evaluate/random_network.h"
#include "host/numerics/moments.h"
#include "host/numerics/pca.h"
#include "tests/host/distance/feature_matrices.h"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>

namespace patchforge {
namespace {

// Rows with known components: coordinates of deviation 8, 4, 2, … along rotated directions, and a
// mean far from zero.
Features decaying_rows(std::int64_t count, std::int64_t dimension, std::uint64_t seed) {
    const Features coordinates = normal_rows(count, 20, seed);
    const Features directions = normal_rows(20, dimension, seed + 1);
    return filled(count, dimension, [&](auto i, auto j) {
        double value = 10 + j % 3;
        for (std::int64_t k = 0; k < 20; ++k) {
            value += std::pow(.6, k) * coordinates.row(i)[k] * directions.row(k)[j];
        }
        return value;
    });
}

// What makes directions principal: orthonormal, uncorrelated scores, and each an eigenvector of
// the covariance with its variance.
void expect_principal(const Features& features, std::int64_t components) {
    const PrincipalComponents pca = fit_principal_components(features, components);
    const std::int64_t d = features.dimension;
    const Moments moments = mean_and_covariance(features);
    for (std::int64_t a = 0; a < components; ++a) {
        const double* const direction = pca.basis.data() + a * d;
        for (std::int64_t b = 0; b < components; ++b) {
            const double product =
                std::inner_product(direction, direction + d, pca.basis.data() + b * d, 0.0);
            EXPECT_NEAR(product, a == b, 1e-10);
        }
        double off = 0;
        for (std::int64_t i = 0; i < d; ++i) {
            const double image = std::inner_product(direction, direction + d,
                                                    moments.covariance.data() + i * d, 0.0);
            off += std::pow(image - pca.variances[a] * direction[i], 2);
        }
        EXPECT_TRUE(std::sqrt(off) <= 1e-6 * pca.variances[0]) << "component " << a;
        EXPECT_TRUE(a == 0 || pca.variances[a] <= pca.variances[a - 1]);
    }
    double trace = 0;
    for (std::int64_t i = 0; i < d; ++i) {
        trace += moments.covariance[i * d + i];
    }
    EXPECT_NEAR(pca.total_variance, trace, 1e-9 * trace);
    const Moments projected = mean_and_covariance(project(pca, features));
    for (std::int64_t a = 0; a < components; ++a) {
        EXPECT_NEAR(projected.mean[a], 0, 1e-5);
        EXPECT_NEAR(projected.covariance[a * components + a], pca.variances[a],
                    1e-5 * pca.variances[a]);
    }
}

TEST(PrincipalComponents, FromTheCovariance) {
    expect_principal(decaying_rows(700, 37, 41), 8);
}
TEST(PrincipalComponents, FromFewRows) {
    expect_principal(decaying_rows(90, 600, 43), 8);
}
TEST(PrincipalComponents, FromSubspaceIteration) {
    expect_principal(decaying_rows(701, 613, 45), 8);
}

TEST(PrincipalComponents, AreTheSameOnAnyNumberOfThreads) {
    const Features features = decaying_rows(600, 600, 47);
    EXPECT_EQ(fit_principal_components(features, 6, 1, 1).basis,
              fit_principal_components(features, 6, 1, 3).basis);
}

TEST(PrincipalComponents, RejectMoreThanThereAre) {
    EXPECT_THROW(fit_principal_components(normal_rows(9, 20, 1), 9), std::invalid_argument);
    EXPECT_THROW(fit_principal_components(normal_rows(30, 4, 1), 5), std::invalid_argument);
    const auto pca = fit_principal_components(normal_rows(30, 4, 1), 2);
    EXPECT_THROW(project(pca, normal_rows(3, 5, 1)), std::invalid_argument);
}

TEST(RandomNetwork, ScalesWithTheImageAndIgnoresItsNeighbours) {
    const Extent shape{3, 11, 9};
    const Features images = normal_rows(5, 3 * 11 * 9, 51, .3);
    const Features features = random_network_features(images, shape);
    ASSERT_EQ(features.dimension, random_network_dimension);
    check_features(features, "features");
    // Without biases and with ReLU the network is positively homogeneous.
    const Features twice = random_network_features(
        filled(5, images.dimension, [&](auto i, auto j) { return 2 * images.row(i)[j]; }), shape);
    for (std::size_t i = 0; i < features.values.size(); ++i) {
        ASSERT_TRUE(std::abs(twice.values[i] - 2 * features.values[i]) <=
                    1e-5 + 1e-5 * std::abs(twice.values[i]));
    }
    const std::vector<std::int64_t> last{4};
    const Features alone = random_network_features(take_rows(images, last), shape, 2020, 1);
    EXPECT_TRUE(std::equal(alone.values.begin(), alone.values.end(), features.row(4).begin()));
}

TEST(RandomNetwork, OfAConstantImageMatchesDirectConvolution) {
    // A 1 x 1 image meets only the centre tap of each kernel: three matrix-vector products.
    const Extent shape{2, 1, 1};
    const Features image{1, 2, {.7f, -.4f}};
    const Features features = random_network_features(image, shape, 3);
    std::vector<double> maps{.7f, -.4f};
    for (std::uint64_t layer = 0; layer < 3; ++layer) {
        const std::int64_t size = layer == 0 ? 5 : 3, outputs = 32 << layer;
        const std::int64_t taps = size * size, inputs = maps.size();
        PhiloxSequence random(3, layer);
        std::vector<double> next(outputs);
        for (std::int64_t i = 0; i < outputs * inputs * taps; ++i) {
            const double weight = std::sqrt(2.0 / (inputs * taps)) * random.normal();
            if (i % taps == taps / 2) {
                next[i / (inputs * taps)] += weight * maps[i / taps % inputs];
            }
        }
        for (double& value : next) {
            value = std::max(value, 0.0);
        }
        maps = next;
    }
    for (std::int64_t c = 0; c < 128; ++c) {
        EXPECT_NEAR(features.values[c], maps[c], 1e-6);
        EXPECT_EQ(features.values[128 + c], 0);
    }
}

TEST(RandomNetwork, IsNamedByItsSeedAndShape) {
    EXPECT_EQ(random_network_hash({}, 1), random_network_hash({}, 1));
    EXPECT_NE(random_network_hash({}, 1), random_network_hash({}, 2));
    EXPECT_NE(random_network_hash({}, 1), random_network_hash({3, 32, 32}, 1));
    EXPECT_THROW(random_network_features(normal_rows(2, 7, 1), {}), std::invalid_argument);
}

} // namespace
} // namespace patchforge
