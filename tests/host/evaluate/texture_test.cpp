// Figures that see texture.
#include "host/evaluate/texture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>
#include <stdexcept>

#include "host/numerics/philox_sequence.h"

namespace patchforge {
namespace {

constexpr Extent grey7{1, 7, 7};

std::vector<std::uint8_t> noise(Extent extent, std::int64_t count, std::uint64_t seed) {
    PhiloxSequence random(seed);
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(extent.size() * count));
    for (std::uint8_t& byte : bytes) {
        byte = static_cast<std::uint8_t>(random.below(256));
    }
    return bytes;
}

TEST(Texture, LaplacianOfOnePointByHand) {
    std::vector<std::uint8_t> bytes(49, 10);
    bytes[3 * 7 + 3] = 30;
    // Of 25 pixels with four neighbours one has -80 and four have 20: mean 0, squares 8000.
    const std::vector<float> deviations = laplacian_deviations({bytes, grey7});
    ASSERT_EQ(deviations.size(), 1u);
    EXPECT_NEAR(deviations[0], std::sqrt(8000.0 / 25), 1e-5);
}

TEST(Texture, GreyIsThatOfVideo) {
    std::vector<std::uint8_t> bytes(3 * 49, 0);
    bytes[49 + 3 * 7 + 3] = 100; // green
    const std::vector<float> deviations = laplacian_deviations({bytes, {3, 7, 7}});
    EXPECT_NEAR(deviations[0], std::sqrt((16 + 4) * 58.7 * 58.7 / 25), 1e-4);
}

TEST(Texture, FixedPictureIsOneOfCopiesAndOneInNOfStrangers) {
    std::vector<std::uint8_t> copies;
    const std::vector<std::uint8_t> one = noise(grey7, 1, 1);
    for (int i = 0; i < 20; ++i) {
        copies.insert(copies.end(), one.begin(), one.end());
    }
    EXPECT_NEAR(fixed_picture_share({copies, grey7}), 1, 1e-12);
    EXPECT_NEAR(fixed_picture_share({noise({1, 20, 20}, 200, 2), {1, 20, 20}}), 1.0 / 200, 1e-3);
}

// The definition, term by term.
std::vector<double> slow_spectrum(const std::vector<std::uint8_t>& bytes, int side) {
    double mean = 0;
    for (const std::uint8_t byte : bytes) {
        mean += byte / static_cast<double>(bytes.size());
    }
    std::vector<double> power(static_cast<std::size_t>(side / 2)), count(power.size());
    for (int u = 0; u < side; ++u) {
        for (int v = 0; v < side; ++v) {
            std::complex<double> sum;
            for (int y = 0; y < side; ++y) {
                for (int x = 0; x < side; ++x) {
                    sum += (bytes[static_cast<std::size_t>(y * side + x)] - mean) *
                           std::polar(1.0, -2 * std::numbers::pi * (u * x + v * y) / side);
                }
            }
            const double du = u > side / 2 ? u - side : u, dv = v > side / 2 ? v - side : v;
            const auto ring = std::lround(std::hypot(du, dv));
            // A real picture's frequencies come in pairs: half of the plane says it all.
            if (ring >= 1 && ring <= side / 2 && du >= 0) {
                power[static_cast<std::size_t>(ring - 1)] += std::norm(sum);
                ++count[static_cast<std::size_t>(ring - 1)];
            }
        }
    }
    for (std::size_t r = 0; r < power.size(); ++r) {
        power[r] = std::log10(power[r] / count[r] + 1e-6);
    }
    return power;
}

TEST(Texture, SpectrumIsThatOfTheDefinition) {
    for (const int side : {8, 9}) {
        const Extent extent{1, side, side};
        const std::vector<std::uint8_t> bytes = noise(extent, 1, 3);
        const std::vector<double> expected = slow_spectrum(bytes, side),
                                  found = radial_spectrum({bytes, extent});
        ASSERT_EQ(found.size(), expected.size());
        for (std::size_t r = 0; r < found.size(); ++r) {
            EXPECT_TRUE(std::abs(found[r] - expected[r]) <= 1e-9)
                << "side " << side << ", ring " << r + 1;
        }
    }
}

TEST(Texture, TellsCloudsFromGrain) {
    const Extent extent{3, 16, 16};
    const std::vector<std::uint8_t> grain = noise(extent, 40, 4), more = noise(extent, 40, 5);
    std::vector<std::uint8_t> clouds = grain;
    for (std::uint8_t& byte : clouds) {
        byte = static_cast<std::uint8_t>(120 + byte / 32);
    }
    const TextureComparison apart = compare_texture({clouds, extent}, {grain, extent});
    EXPECT_EQ(apart.laplacian_auc, 1);
    EXPECT_LT(apart.laplacian_deviation_first, apart.laplacian_deviation_second / 10);
    EXPECT_GT(apart.spectrum_distance, 1); // a factor of 32 in level is 3 in log10 of power
    const TextureComparison alike = compare_texture({more, extent}, {grain, extent});
    EXPECT_LT(alike.laplacian_auc, 0.7);
    EXPECT_LT(alike.spectrum_distance, 0.1);
}

TEST(Texture, RefusesWhatCannotBeCompared) {
    const std::vector<std::uint8_t> bytes(49 * 3, 1);
    EXPECT_THROW(compare_texture({bytes, grey7}, {bytes, {3, 7, 7}}), std::invalid_argument);
    EXPECT_THROW(compare_texture({std::span(bytes).first(49), grey7}, {bytes, grey7}),
                 std::invalid_argument);
}

} // namespace
} // namespace patchforge
