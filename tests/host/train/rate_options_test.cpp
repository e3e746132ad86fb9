#include "host/train/rate_options.h"

#include <gtest/gtest.h>

namespace patchforge {
namespace {

using Shape = RateOptions::Shape;

RateOptions given(const Given& options) {
    RateOptions rates;
    Options described;
    describe_rates(described, rates);
    described.apply(options);
    return rates;
}

TEST(RateOptions, DecayEpochAloneFallsLinearly) {
    EXPECT_EQ(given({}).over(7, 70).shape, Shape::constant);
    EXPECT_FALSE(given({}).needs_length());
    const RateOptions rates = given({{"decay_epoch", {"2.5"}}});
    EXPECT_TRUE(rates.needs_length());
    const RateSchedule schedule = rates.over(7, 70);
    EXPECT_EQ(schedule.shape, Shape::linear);
    EXPECT_EQ(schedule.start, 17u);
    EXPECT_EQ(schedule.end, 70u);
    EXPECT_EQ(rates.over(7, 17).shape, Shape::constant); // it ends before it would fall
}

TEST(RateOptions, ConstantTakesAwayWhereAPresetFallsFrom) {
    RateOptions rates{.decay_epoch = 1};
    Options described;
    describe_rates(described, rates);
    described.apply(Preset{"early", {{"decay_after", "0.5"}}});
    EXPECT_TRUE(rates.needs_length());
    described.apply(Given{{"lr_schedule", {"constant"}}});
    EXPECT_FALSE(rates.needs_length());
    EXPECT_EQ(rates.over(7, 70).shape, Shape::constant);
    // As a run's params.json gives them.
    described.apply(Given{{"lr_schedule", {"constant"}}, {"decay_epoch", {"2"}}});
    EXPECT_EQ(rates.over(7, 70).shape, Shape::linear);
    EXPECT_EQ(rates.over(7, 70).start, 14u);
}

TEST(RateOptions, ALineThatEndsAboveZero) {
    const RateOptions rates = given({{"decay_after", {"0.5"}}, {"decay_to", {"0.05"}}});
    EXPECT_TRUE(rates.needs_length());
    const RateSchedule schedule = rates.over(7, 4000);
    EXPECT_EQ(schedule.shape, Shape::linear);
    EXPECT_EQ(schedule.share(2000), 1);
    EXPECT_NEAR(schedule.share(3000), 0.525, 1e-3);
    EXPECT_NEAR(schedule.share(4000), 0.05, 1e-3);
}

TEST(RateOptions, ASchedulesOwnStart) {
    const RateSchedule cosine = given({{"lr_schedule", {"cosine"}}}).over(7, 70);
    EXPECT_EQ(cosine.start, 0u);
    EXPECT_EQ(cosine.end, 70u);
    EXPECT_NEAR(cosine.share(35), 0.5, 1e-12);
    EXPECT_EQ(given({{"lr_schedule", {"linear"}}, {"decay_epoch", {"4"}}}).over(7, 70).start, 28u);
}

TEST(RateOptions, StepsDoNotDependOnTheLength) {
    const RateOptions rates = given({{"lr_schedule", {"step"}},
                                     {"decay_epoch", {"1"}},
                                     {"lr_step_epochs", {"3"}},
                                     {"lr_step_factor", {"0.5"}}});
    EXPECT_FALSE(rates.needs_length());
    for (const std::uint64_t total : {70, 700}) {
        const RateSchedule schedule = rates.over(7, total);
        EXPECT_EQ(schedule.share(7 + 3 * 7 - 1), 1);
        EXPECT_EQ(schedule.share(7 + 3 * 7), 0.5);
        EXPECT_EQ(schedule.share(7 + 3 * 7 * 4), 0.0625);
    }
}

} // namespace
} // namespace patchforge
