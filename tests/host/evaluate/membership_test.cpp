// Membership inference: its figures by hand, copies caught, nothing found where nothing was given away.
#include "host/evaluate/membership.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "host/numerics/philox_sequence.h"

namespace patchforge {
namespace {

constexpr std::int64_t dimension = 20;

Features normal(std::int64_t count, std::uint64_t seed) {
    PhiloxSequence random(seed);
    Features features{count, dimension, {}};
    for (std::int64_t i = 0; i < count * dimension; ++i) {
        features.values.push_back(static_cast<float>(random.normal()));
    }
    return features;
}

std::vector<std::int32_t> ten_each(std::int64_t count) {
    std::vector<std::int32_t> patients;
    for (std::int64_t i = 0; i < count; ++i) {
        patients.push_back(static_cast<std::int32_t>(i / 10));
    }
    return patients;
}

MembershipResult infer(const Features& members, const Features& strangers, const Features& fakes) {
    return membership_result(
        "nearest fake", {nearest_fake_scores(members, fakes, 1), ten_each(members.count)},
        {nearest_fake_scores(strangers, fakes, 1), ten_each(strangers.count)}, 11, 200);
}

TEST(Membership, FoundAtAShareOfFalseAlarmsByHand) {
    const std::vector<float> strangers = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    EXPECT_DOUBLE_EQ(found_at(std::vector<float>{9.5f, 10.5f, 11, 3}, strangers, 0.1), 0.75);
    EXPECT_DOUBLE_EQ(found_at(std::vector<float>{9.5f, 10.5f, 11, 3}, strangers, 0.05), 0.5);
    // Equal to the threshold is not above it.
    EXPECT_DOUBLE_EQ(found_at(std::vector<float>{10, 10}, strangers, 0), 0);
}

TEST(Membership, CatchesAGeneratorThatMemorised64Patches) {
    // 64 of 200 training patches come back, a little changed, among fakes of the right distribution.
    const Features members = normal(200, 1), strangers = normal(200, 2);
    Features fakes = normal(400, 3);
    PhiloxSequence random(4);
    for (std::int64_t i = 0; i < 64; ++i) {
        for (std::int64_t j = 0; j < dimension; ++j) {
            fakes.values[static_cast<std::size_t>(i * dimension + j)] =
                members.values[static_cast<std::size_t>(3 * i * dimension + j)] +
                static_cast<float>(0.1 * random.normal());
        }
    }
    const MembershipResult result = infer(members, strangers, fakes);
    EXPECT_TRUE(result.gives_away());
    EXPECT_GT(result.auc, 0.6);
    EXPECT_GE(result.found, 64.0 / 200);
    EXPECT_GT(result.found_interval.low, 0.1);
    EXPECT_EQ(result.members, 200);
    EXPECT_EQ(result.strangers, 200);
}

TEST(Membership, FindsNothingInFreshFakes) {
    const MembershipResult result = infer(normal(200, 5), normal(200, 6), normal(400, 7));
    EXPECT_FALSE(result.gives_away());
    EXPECT_LE(result.auc_interval.low, result.auc);
    EXPECT_GE(result.auc_interval.high, result.auc);
    EXPECT_LT(result.found, 0.08);
}

TEST(Membership, RefusesASideWithoutPatches) {
    EXPECT_THROW(membership_result("", {}, {{1.0f}, {0}}, 1), std::invalid_argument);
    EXPECT_THROW(membership_result("", {{1.0f}, {0}}, {{1.0f}, {}}, 1), std::invalid_argument);
}

} // namespace
} // namespace patchforge
