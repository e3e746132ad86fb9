// The executor is tested by faults put into kernels on purpose: each must be noticed, and its twin
// without the fault must not be suspected.
#include "tests/simt/planted/planted.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <ostream>

namespace planted {

// How GoogleTest shows a parameter.
void PrintTo(const Bug& bug, std::ostream* out) {
    *out << bug.name;
}

} // namespace planted

namespace {

using planted::Bug;
using planted::Plain;
using planted::Sign;

std::vector<Bug> all_bugs() {
    std::vector<Bug> all;
    for (const auto& group :
         {planted::barrier_bugs(), planted::convolution_bugs(), planted::copy_bugs(),
          planted::indexing_bugs(), planted::overlap_bugs(), planted::shared_memory_bugs(),
          planted::tensor_core_bugs(), planted::warp_bugs()}) {
        all.insert(all.end(), group.begin(), group.end());
    }
    return all;
}

struct Outcome {
    std::vector<float> values;
    std::optional<simt::Failure> failure;
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<Outcome> run_under_schedules(const Bug& bug, bool faulty) {
    std::vector<Outcome> outcomes;
    for (const char* schedule : {"forward", "reverse", "random:1", "random:2", "random:3"}) {
        simt::set_schedule(simt::parse_schedule(schedule));
        Outcome outcome;
        try {
            outcome.values = bug.run(faulty);
        } catch (const simt::Failure& failure) {
            outcome.failure = failure;
        }
        outcomes.push_back(std::move(outcome));
    }
    simt::set_schedule({});
    return outcomes;
}

// The findings that count as the sign; none if it shows in the results alone.
std::vector<simt::Finding> findings_of(Sign sign) {
    switch (sign) {
    case Sign::divergent_barrier:
        return {simt::Finding::divergent_barrier};
    case Sign::deadlock:
        return {simt::Finding::deadlock};
    case Sign::lane_mask:
        return {simt::Finding::lane_mask};
    case Sign::misaligned:
        return {simt::Finding::misaligned};
    case Sign::out_of_bounds:
        return {simt::Finding::out_of_bounds};
    case Sign::unwritten_read:
        return {simt::Finding::unwritten_read};
    case Sign::race:
        return {simt::Finding::race};
    case Sign::unordered:
        return {simt::Finding::race, simt::Finding::unwritten_read};
    case Sign::limit:
        return {simt::Finding::limit};
    case Sign::overlap:
    case Sign::overlap_of_idle:
        return {simt::Finding::overlap};
    case Sign::wrong_result:
    case Sign::schedule_dependent:
        return {};
    }
    return {};
}

class PlantedBug : public testing::TestWithParam<Bug> {};

TEST_P(PlantedBug, IsCaught) {
    const Bug& bug = GetParam();
    if (!simt::checked() && bug.plain != Plain::caught) {
        return; // the checked binary, built from the same source, is there for these
    }
    const auto outcomes = run_under_schedules(bug, true);
    const auto expected = bug.expected();
    bool any_failed = false, any_wrong = false, all_wrong = true, bits_differ = false;
    for (const auto& outcome : outcomes) {
        const bool wrong = !outcome.failure && !same_bits(outcome.values, expected);
        any_failed |= outcome.failure.has_value();
        any_wrong |= wrong;
        all_wrong &= wrong;
        bits_differ |= !outcome.failure && !outcomes[0].failure &&
                       !same_bits(outcome.values, outcomes[0].values);
    }
    if (!simt::checked()) {
        EXPECT_TRUE(any_failed || any_wrong) << "nothing was noticed";
        return;
    }
    const auto findings = findings_of(bug.sign);
    if (findings.empty()) {
        EXPECT_FALSE(any_failed);
        EXPECT_TRUE(bug.sign == Sign::wrong_result ? all_wrong : bits_differ);
        return;
    }
    EXPECT_TRUE(any_failed) << "nothing was noticed";
    for (const auto& outcome : outcomes) {
        if (!outcome.failure) {
            continue;
        }
        const std::string what = outcome.failure->what();
        EXPECT_EQ(std::count(findings.begin(), findings.end(), outcome.failure->finding()), 1)
            << what;
        const bool named = bug.sign == Sign::limit || bug.sign == Sign::overlap_of_idle;
        const std::string place = named ? bug.name : "tests/simt/planted/";
        EXPECT_EQ(what.rfind(place, 0), 0u) << "no place in: " << what;
    }
}

TEST_P(PlantedBug, TwinIsNotSuspected) {
    const Bug& bug = GetParam();
    const auto expected = bug.expected();
    for (const auto& outcome : run_under_schedules(bug, false)) {
        EXPECT_FALSE(outcome.failure.has_value()) << outcome.failure->what();
        EXPECT_TRUE(same_bits(outcome.values, expected));
    }
}

INSTANTIATE_TEST_SUITE_P(Every, PlantedBug, testing::ValuesIn(all_bugs()),
                         [](const auto& info) { return std::string(info.param.name); });

} // namespace
