// Random fills: bits, elements and distributions.
#include "tests/oracle/noise.h"

#include "tests/kernels/backends.h"
#include "tests/kernels/operands.h"
#include "tests/kernels/statistics.h"

namespace patchforge::testing {
namespace {

class NoiseTest : public BackendTest {
  protected:
    std::vector<float> uniform(std::int64_t count, float low, float high,
                               const RandomStream& random, int shift = 0) {
        const auto out = GuardedArray<float>::output(backend(), count, shift);
        backend().fill_uniform(out.view(), low, high, random);
        return out.values();
    }
    std::vector<float> normal(std::int64_t count, float mean, float deviation,
                              const RandomStream& random, int shift = 0) {
        const auto out = GuardedArray<float>::output(backend(), count, shift);
        backend().fill_normal(out.view(), mean, deviation, random);
        return out.values();
    }
};
PATCHFORGE_ON_EVERY_BACKEND(NoiseTest);

const std::vector<std::int64_t> sizes{1, 2, 3, 4, 5, 31, 33, 64, 255, 257, 640, 7499, 7500};

// On (0, 1) the fill is the word's own 24 upper bits: a wrong bit in a key, counter or word shows.
TEST_P(NoiseTest, UniformIsPhiloxToTheBit) {
    for (const std::int64_t size : sizes) {
        for (const std::uint64_t seed : {0ull, 42ull, 0xfedcba9876543210ull}) {
            const int shift = static_cast<int>(size % 4);
            const DeviceStep step(backend(), 0x300000007, 3, 2);
            const std::uint32_t purpose = static_cast<std::uint32_t>(Purpose::latent_generator);
            SCOPED_TRACE(describe("size", size, "seed", seed, "shift", shift));
            const oracle::Stream stream{seed, purpose, step.value()};
            const auto actual = uniform(size, 0, 1, {seed, purpose, step.count()}, shift);
            for (std::int64_t e = 0; e < size; ++e) {
                ASSERT_EQ(actual[e], uniform_from_word(stream.word(e))) << "element " << e;
            }
        }
    }
}

TEST_P(NoiseTest, UniformBetweenLimits) {
    const RandomStream random{7, 3, {}};
    const oracle::Stream stream{7, 3, 0};
    for (const auto& [low, high] : {std::pair{-1.0f, 1.0f}, {-0.03125f, 0.03125f}, {2.0f, 5.0f}}) {
        const auto actual = uniform(1001, low, high, random);
        expect_close(actual, oracle::uniform(1001, low, high, stream),
                     4 * unit_roundoff * std::max(std::fabs(low), std::fabs(high)),
                     describe("low", low, "high", high));
        for (const float value : actual) {
            ASSERT_TRUE(value >= low && value <= high) << value;
        }
    }
}

// Box-Muller in float32: the angle 2 pi u is rounded, and with it the sine by as much.
TEST_P(NoiseTest, NormalAgreesWithTheOracle) {
    for (const std::int64_t size : sizes) {
        for (const auto& [mean, deviation] : {std::pair{0.0f, 1.0f}, {3.0f, 0.5f}}) {
            const int shift = static_cast<int>(size % 4);
            const DeviceStep step(backend(), 11, 2, 1);
            SCOPED_TRACE(
                describe("size", size, "mean", mean, "deviation", deviation, "shift", shift));
            const auto actual = normal(size, mean, deviation, {5, 3, step.count()}, shift);
            const auto expected = oracle::normal(size, mean, deviation, {5, 3, step.value()});
            std::vector<double> tolerance;
            for (std::int64_t e = 0; e < size; ++e) {
                const double u1 =
                    uniform_from_word(oracle::Stream{5, 3, step.value()}.word(e & ~1));
                const double radius = std::sqrt(-2 * std::log(u1));
                tolerance.push_back(unit_roundoff *
                                    (14 * deviation * radius + 2 * std::fabs(expected[e])));
            }
            expect_close(actual, expected, tolerance, 1, "normal");
        }
    }
}

TEST_P(NoiseTest, DistributionsAreWhatTheySay) {
    const std::int64_t n = 20'000;
    const RandomStream random{20, 4, {}};
    const auto u = uniform(n, -2, 2, random);
    EXPECT_LE(kolmogorov_distance(u, [](double x) { return (x + 2) / 4; }), kolmogorov_limit);
    const auto z = normal(n, 0, 1, random);
    EXPECT_LE(kolmogorov_distance(z, normal_cdf), kolmogorov_limit);

    double moment[5] = {};
    double neighbours = 0;
    for (std::int64_t e = 0; e < n; ++e) {
        for (int power = 1; power <= 4; ++power) {
            moment[power] += std::pow(z[e], power) / n;
        }
        neighbours += z[e] * z[(e + 1) % n] / n;
    }
    // The variances of z, z^2, z^3, z^4 and z z' are 1, 2, 15, 96 and 1.
    const double five = 5 / std::sqrt(n);
    EXPECT_NEAR(moment[1], 0, five);
    EXPECT_NEAR(moment[2], 1, five * std::sqrt(2));
    EXPECT_NEAR(moment[3], 0, five * std::sqrt(15));
    EXPECT_NEAR(moment[4], 3, five * std::sqrt(96));
    EXPECT_NEAR(neighbours, 0, five);
}

TEST_P(NoiseTest, SeedsPurposesAndDrawsDiffer) {
    const std::vector<RandomStream> streams{{1, 3, {}},
                                            {2, 3, {}},
                                            {1ull << 32 | 1, 3, {}},
                                            {1, 4, {}},
                                            {1, 3, {nullptr, 1, 1}},
                                            {1, 3, {nullptr, 1, 2}}};
    std::vector<std::vector<float>> drawn;
    for (const RandomStream& stream : streams) {
        drawn.push_back(normal(64, 0, 1, stream));
        for (std::size_t other = 0; other + 1 < drawn.size(); ++other) {
            int equal = 0;
            for (std::size_t e = 0; e < 64; ++e) {
                equal += drawn[other][e] == drawn.back()[e];
            }
            EXPECT_LT(equal, 3) << "streams " << other << " and " << drawn.size() - 1;
        }
    }
}

TEST_P(NoiseTest, Fill) {
    for (const std::int64_t size : sizes) {
        const auto out = GuardedArray<float>::output(backend(), size, static_cast<int>(size % 4));
        backend().fill(out.view(), -2.5f);
        EXPECT_EQ(out.values(), std::vector<float>(static_cast<std::size_t>(size), -2.5f));
    }
}

} // namespace
} // namespace patchforge::testing
