// Trainings of several processes on GPUs: build/patchforge-simt with a device of the executor each and what
// stands in for libnccl.so.2, and build/patchforge where two GPUs are.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

#include "tests/host/end_to_end/ranks_fixture.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;
using testing::ScopedVariable;
using testing::Started;
using testing::Words;

class GpuRanksTest : public testing::RanksTest {
  protected:
    void SetUp() override {
        RanksTest::SetUp();
        program_ = "build/patchforge-simt";
    }
    Words training_on(const std::string& device, const std::string& out, int steps) const {
        return testing::with_options(training("gan", out),
                                     {"--device", device, "--steps", std::to_string(steps),
                                      "--checkpoint-interval", "2", "--shards", "2"});
    }
    // One run on two GPUs, and one that is begun on two and ended on one, against one on one.
    void compare(const std::string& device) {
        ASSERT_EQ(run(1, training_on(device, "one", 5)).status, 0);
        const Outcome two = run(2, training_on(device, "two", 5));
        ASSERT_EQ(two.status, 0) << two.output;
        EXPECT_NE(two.output.find("compute capability"), std::string::npos) << two.output;
        EXPECT_TRUE(state("two") == state("one"));
        ASSERT_EQ(run(2, training_on(device, "resumed", 3)).status, 0);
        Words resumed = training_on(device, "resumed", 5);
        resumed.push_back("--resume");
        const Outcome end = run(1, resumed);
        ASSERT_EQ(end.status, 0) << end.output;
        EXPECT_NE(weights("one"), "");
        EXPECT_TRUE(weights("resumed") == weights("one"));
    }
    std::string weights(const std::string& out) const {
        std::string all;
        for (const auto& entry : fs::directory_iterator(folder_ / (out + "/checkpoints"))) {
            const fs::path file = entry.path() / "state.safetensors";
            if (entry.path().filename().string().ends_with("5") && fs::exists(file)) {
                all += testing::bytes_of_file(file);
            }
        }
        return all;
    }

    std::string libraries_ = std::getenv("LD_LIBRARY_PATH") ? std::getenv("LD_LIBRARY_PATH") : "";
    // Of the executor, for the processes that are started.
    ScopedVariable devices_{"PATCHFORGE_SIMT_DEVICES", "2"};
    ScopedVariable library_{"LD_LIBRARY_PATH", fs::absolute("build/tests/nccl").string()};
    ScopedVariable meeting_{"TMPDIR", folder_.path().string()};
};

TEST_F(GpuRanksTest, TwoOfTheExecutorsDevicesEndInTheBytesOfOne) {
    compare("cuda");
}

TEST_F(GpuRanksTest, TwoGpusEndInTheBytesOfOne) {
    program_ = "build/patchforge";
    const ScopedVariable real("LD_LIBRARY_PATH", libraries_);
    const Outcome said = fs::exists(program_) ? run(1, {"doctor"}) : Outcome{};
    if (said.output.find(", for several ranks on GPUs") == std::string::npos) {
        GTEST_SKIP() << "build/patchforge with CUDA and NCCL is not here: nothing was run on GPUs";
    }
    if (run(1, {"train", "gan", "--device", "cuda:1", "--data", folder_ / "set.pfs", "--steps", "1",
                "--out", folder_ / "second"})
            .status != 0) {
        GTEST_SKIP() << "two GPUs are not here: nothing was run on them";
    }
    compare("auto");
}

TEST_F(GpuRanksTest, WhatCannotWorkIsSaidOnce) {
    const auto refused = [&](const Words& words, const std::string& refusal) {
        const Outcome outcome = run(2, words);
        EXPECT_EQ(outcome.status, 1) << outcome.output;
        EXPECT_EQ(count(outcome.output, "patchforge: error: "), 1) << outcome.output;
        EXPECT_NE(outcome.output.find(refusal), std::string::npos) << outcome.output;
    };
    refused(training_on("cuda:0", "same", 2), "have the same GPU (cuda:0 and cuda:0)");
    std::ofstream(folder_ / "libnccl.so.2") << "no library";
    const ScopedVariable none("LD_LIBRARY_PATH", folder_.path().string());
    refused(training_on("cuda", "none", 2), "the loader finds no libnccl.so.2; install it");
    EXPECT_NE(run(1, {"doctor"}).output.find("fix: several ranks on GPUs need NCCL"),
              std::string::npos);
}

TEST_F(GpuRanksTest, ARankThatHangsEndsAllWithOneError) {
    Started job = start(launched(
        2, testing::with_options(training_on("cuda", "hung", 4000), {"--rank-timeout", "5"})));
    ASSERT_TRUE(checkpointed(job, "hung")) << job.wait().output;
    const std::vector<pid_t> ranks = job.ranks();
    ASSERT_EQ(ranks.size(), 2u);
    ::kill(ranks[1], SIGSTOP);
    const Outcome outcome = job.wait();
    EXPECT_NE(outcome.status, 0);
    EXPECT_EQ(count(outcome.output, "patchforge: error: "), 1) << outcome.output;
    EXPECT_NE(outcome.output.find("nothing came from the other ranks for 5 s"), std::string::npos)
        << outcome.output;
}

} // namespace
} // namespace patchforge
