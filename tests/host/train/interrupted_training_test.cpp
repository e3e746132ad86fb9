// The loop under signals that come while it looks, samples and evaluates.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "host/files/tensor_facts.h"
#include "host/run/interrupt.h"
#include "host/run/whole_checkpoint.h"
#include "host/train/training.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

constexpr const char* pieces[] = {"look", "sample", "evaluate"};

// Counts. Its pieces tell what they did behind the point at which a signal may stop them.
class CountingFamily final : public Family {
  public:
    std::string interrupted_at{}; // "evaluate 4"
    std::vector<std::string> told{};

    std::string kind() const override { return "train counting"; }
    TrainingSchedule schedule() const override {
        return {.log = 2, .sample = 4, .evaluate = 4, .checkpoint = 0};
    }
    std::vector<std::string> metrics() const override { return {"count"}; }
    std::vector<MetricColumn> columns() const override { return {{"mean", ""}}; }
    std::map<std::string, const Network*> networks() override { return {}; }
    std::string rates() const override { return "nothing"; }
    std::uint64_t step() const override { return step_; }
    std::uint64_t total_steps() const override { return 8; }
    std::vector<std::vector<double>> run(std::int64_t count) override {
        std::vector<std::vector<double>> all;
        for (; count > 0; --count) {
            all.push_back({static_cast<double>(++step_)});
        }
        return all;
    }
    CheckpointFiles checkpoint() override {
        return {{"state.safetensors", encode_safetensors({make_u64("step", {}, &step_)})}};
    }
    void restore(const std::filesystem::path& checkpoint) override {
        step_ = scalar_u64(read_safetensors(checkpoint / "state.safetensors"), "step");
    }
    void introduce(TrainingRun&) override {}
    std::vector<double> look(TrainingRun&, const IntervalMeans& means) override {
        tell("look");
        return {means.mean("count")};
    }
    void sample(TrainingRun&) override { tell("sample"); }
    void evaluate(TrainingRun&) override { tell("evaluate"); }
    void report(TrainingRun&) override {}

  private:
    void tell(const char* piece) {
        const std::string now = fmt::format("{} {}", piece, step_);
        if (now == interrupted_at) {
            std::raise(SIGTERM);
        }
        stop_if_interrupted();
        told.push_back(now);
    }

    std::uint64_t step_ = 0;
};

TEST(InterruptedTraining, WhatASignalCutShortIsDoneByTheRunThatGoesOn) {
    const TemporaryFolder folder;
    RunOptions options;
    options.out = folder / "whole";
    CountingFamily whole;
    ASSERT_TRUE(train(whole, options, {}));
    ASSERT_EQ(whole.told.size(), 8u); // 4 looks, 2 samples, 2 evaluations
    const std::string metrics = contents(options.out / "metrics.csv");

    for (const char* piece : pieces) {
        for (const int step : {2, 4, 8}) { // the last: of a run that is over
            CountingFamily first, second;
            first.interrupted_at = fmt::format("{} {}", piece, step);
            options.out = folder / fmt::format("{}{}", piece, step);
            options.resume = false;
            const bool happens =
                std::ranges::find(whole.told, first.interrupted_at) != whole.told.end();
            EXPECT_EQ(train(first, options, {}), !happens) << first.interrupted_at;
            if (!happens) {
                continue;
            }
            EXPECT_EQ(interrupting_signal(), SIGTERM);
            EXPECT_EQ(latest_checkpoint(options.out)->step, step);
            options.resume = true;
            EXPECT_TRUE(train(second, options, {}));
            std::vector<std::string> told = first.told;
            told.insert(told.end(), second.told.begin(), second.told.end());
            EXPECT_EQ(told, whole.told) << first.interrupted_at;
            EXPECT_EQ(contents(options.out / "metrics.csv"), metrics) << first.interrupted_at;
            EXPECT_FALSE(std::filesystem::exists(latest_checkpoint(options.out)->folder /
                                                 "owed.safetensors"));
        }
    }
}

} // namespace
} // namespace patchforge
