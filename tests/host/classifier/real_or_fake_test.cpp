// Whether a network that tells fakes from real patches says so of what differs, and of nothing else.
#include "host/classifier/real_or_fake.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "host/numerics/philox_sequence.h"

namespace patchforge {
namespace {

constexpr Extent extent{1, 16, 16};
constexpr std::int64_t pictures = 80;
constexpr std::int32_t patients = 8;

// Grain around a level of its own; every second line darker by `stripes`.
std::vector<std::uint8_t> grain(std::uint64_t seed, int stripes) {
    PhiloxSequence random(seed);
    std::vector<std::uint8_t> bytes;
    for (std::int64_t i = 0; i < pictures; ++i) {
        const auto level = static_cast<int>(80 + random.below(60));
        for (int y = 0; y < extent.height; ++y) {
            for (int x = 0; x < extent.width; ++x) {
                bytes.push_back(static_cast<std::uint8_t>(
                    level + static_cast<int>(random.below(60)) - (y % 2) * stripes));
            }
        }
    }
    return bytes;
}

RealOrFake judge(const std::vector<std::uint8_t>& fakes) {
    std::vector<std::int32_t> of_patient;
    for (std::int64_t i = 0; i < pictures; ++i) {
        of_patient.push_back(static_cast<std::int32_t>(i % patients));
    }
    const auto backend = make_backend("cpu", {});
    return real_or_fake(*backend, extent, grain(1, 0), of_patient, fakes,
                        {.seed = 7, .seeds = 1, .iterations = 40, .resamples = 20});
}

TEST(RealOrFake, FindsStripesAtFullSizeAndNotInMeans) {
    const RealOrFake result = judge(grain(2, 50));
    EXPECT_GT(result.full.mean, 0.95);
    // Half of either kind is judged; after so few steps the order is learnt before the border.
    EXPECT_EQ(result.counts.fakes, pictures / 2);
    EXPECT_EQ(result.counts.real, pictures / 2);
    EXPECT_GT(result.counts.fakes_told, result.counts.real_called_fake);
    EXPECT_LE(result.counts.fakes_told, result.counts.fakes);
    // Two lines' mean has no stripe, only a darker level.
    EXPECT_LT(result.half.mean, result.full.mean);
    EXPECT_EQ(result.pictures, pictures);
    EXPECT_EQ(result.patients, patients);
    EXPECT_EQ(result.full.by_seed.size(), 1u);
    EXPECT_LE(result.full.interval.low, result.full.mean);
    EXPECT_GE(result.full.interval.high, result.full.mean);
}

TEST(RealOrFake, FindsNothingWhereNothingDiffers) {
    const RealOrFake result = judge(grain(3, 0));
    for (const RealOrFakeScore* score :
         {&result.full, &result.half, &result.floor_full, &result.floor_half}) {
        EXPECT_NEAR(score->mean, 0.5, 0.25);
    }
}

TEST(RealOrFake, RefusesTooFew) {
    const auto backend = make_backend("cpu", {});
    const std::vector<std::uint8_t> bytes = grain(1, 0);
    const std::vector<std::int32_t> one_patient(pictures, 0);
    EXPECT_THROW(real_or_fake(*backend, extent, bytes, one_patient, bytes, {}),
                 std::invalid_argument);
    const std::vector<std::int32_t> few = {0, 1, 2, 3, 4};
    EXPECT_THROW(real_or_fake(*backend, extent, bytes, few, bytes, {}), std::invalid_argument);
}

} // namespace
} // namespace patchforge
