#include "host/run/run_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/files/safetensors.h"
#include "host/run/whole_checkpoint.h"
#include "tests/data/unprivileged.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

namespace fs = std::filesystem;

const Parameters parameters = {{"batch_size", std::int64_t{10}},
                               {"lr", 0.0002},
                               {"preset", std::string("seed-b10")},
                               {"drop_last", false}};

std::vector<std::byte> bytes_of(const std::string& text) {
    const auto* first = reinterpret_cast<const std::byte*>(text.data());
    return {first, first + text.size()};
}

template <class Error, class Call>
std::string message_of(Call call) {
    try {
        call();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

class RunFolderTest : public ::testing::Test {
  protected:
    RunFolder create() { return RunFolder::create(path_, "train gan", parameters); }
    RunFolder resume(const Parameters& now = parameters) {
        return RunFolder::resume(path_, "train gan", now, {.may_change = {"epochs"}});
    }

    TemporaryFolder folder_;
    fs::path path_ = folder_ / "runs/a";
};

TEST_F(RunFolderTest, KeepsParametersInOrder) {
    create();
    EXPECT_EQ(
        contents(path_ / "params.json"),
        "{\n  \"run\": \"train gan\",\n  \"parameters\": {\n    \"batch_size\": 10,\n"
        "    \"lr\": 0.0002,\n    \"preset\": \"seed-b10\",\n    \"drop_last\": false\n  }\n}\n");
    EXPECT_EQ(read_run_kind(path_), "train gan");
    EXPECT_EQ(read_parameters(path_), parameters);
}

TEST_F(RunFolderTest, PathsOfAnyBytesAreParameters) {
    const Parameters odd{{"data", std::string("x\xff\n\"")}};
    RunFolder::create(path_, "train gan", odd);
    EXPECT_EQ(read_parameters(path_), (Parameters{{"data", std::string("x\\xFF\n\"")}}));
    RunFolder::resume(path_, "train gan", odd, {});
}

TEST_F(RunFolderTest, WaitsForNoPipe) {
    create();
    ASSERT_EQ(::mkfifo((path_ / "report.html").c_str(), 0600), 0);
    EXPECT_NE(message_of<std::runtime_error>([&] { resume(); }).find("report.html"),
              std::string::npos);
}

TEST_F(RunFolderTest, WhatAKilledCallLeftOfOlderCheckpointsGoes) {
    RunFolder run = create();
    for (const int step : {1, 2, 3}) {
        run.write_checkpoint(step, {}, 3);
    }
    run.remove_older_checkpoints(3, 2);
    EXPECT_EQ(list_checkpoints(path_).size(), 2u);
    EXPECT_EQ(list_checkpoints(path_).front().step, 2);
}

TEST_F(RunFolderTest, RefusesFoldersThatHoldSomething) {
    fs::create_directories(path_);
    create(); // an empty folder is fine
    EXPECT_NE(message_of<std::invalid_argument>([&] { create(); }).find("--resume"),
              std::string::npos);
    fs::create_directories(folder_ / "other");
    put(folder_ / "other/letter.txt", "dear");
    EXPECT_NE(message_of<std::invalid_argument>([&] {
                  RunFolder::create(folder_ / "other", "train gan", parameters);
              }).find("not empty"),
              std::string::npos);
    EXPECT_EQ(contents(folder_ / "other/letter.txt"), "dear");
    EXPECT_THROW(RunFolder::create(folder_ / "other/letter.txt", "x", parameters),
                 std::invalid_argument);
    EXPECT_THROW(RunFolder::resume(folder_ / "other", "train gan", parameters, {}),
                 std::runtime_error);
}

TEST_F(RunFolderTest, BeginsWhereAKilledCreationStopped) {
    fs::create_directories(path_);
    std::ofstream(path_ / "params.json.17-0.partial") << "{";
    EXPECT_NO_THROW(create());
    EXPECT_FALSE(fs::exists(path_ / "params.json.17-0.partial"));
    EXPECT_EQ(read_run_kind(path_), "train gan");
}

// Of two that begin at once one goes on, and its parameters are the folder's.
TEST_F(RunFolderTest, OneOfTwoStartsGoesOn) {
    std::vector<pid_t> children;
    for (std::int64_t i = 0; i < 8; ++i) {
        const pid_t child = ::fork();
        if (child == 0) {
            try {
                RunFolder run = RunFolder::create(path_, "train gan", {{"seed", i}});
                ::usleep(200000);
                ::_exit(read_parameters(path_) == Parameters{{"seed", i}} ? 10 : 11);
            } catch (const std::exception&) {
                ::_exit(12);
            }
        }
        children.push_back(child);
    }
    std::map<int, int> ends;
    for (const pid_t child : children) {
        int status = 0;
        ::waitpid(child, &status, 0);
        ++ends[WEXITSTATUS(status)];
    }
    EXPECT_EQ(ends, (std::map<int, int>{{10, 1}, {12, 7}}));
}

TEST_F(RunFolderTest, FallsBackToTheNewestWholeCheckpoint) {
    const auto state_of = [](std::uint64_t step) {
        const float weight = static_cast<float>(step);
        return encode_safetensors({make_f32("w", {1}, &weight), make_u64("step", {}, &step)});
    };
    RunFolder run = create();
    EXPECT_FALSE(newest_whole_checkpoint(path_).newest);
    for (const std::uint64_t step : {1, 2, 3, 4}) { // the third says it is the ninth
        run.write_checkpoint(static_cast<std::int64_t>(step),
                             {{"state.safetensors", state_of(step == 3 ? 9 : step)}}, 9);
    }
    EXPECT_EQ(newest_whole_checkpoint(path_).newest->step, 4);
    const fs::path newest = path_ / "checkpoints/step_4/state.safetensors";
    const std::string sound = contents(newest);
    for (const std::string& damaged : {sound.substr(0, sound.size() - 3),
                                       sound.substr(0, sound.size() - 1) + "!", std::string()}) {
        put(newest, damaged);
        testing::internal::CaptureStdout();
        const WholeCheckpoint found = newest_whole_checkpoint(path_);
        const std::string said = testing::internal::GetCapturedStdout();
        ASSERT_TRUE(found.newest);
        EXPECT_EQ(found.newest->step, 2);
        ASSERT_EQ(found.damaged.size(), 2u);
        for (const char* word :
             {"step_4", "is of step 9", "taking the newest whole checkpoint", "step_2"}) {
            EXPECT_NE(said.find(word), std::string::npos) << said;
        }
    }
    run.set_aside({4, path_ / "checkpoints/step_4"});
    EXPECT_EQ(latest_checkpoint(path_)->step, 3);
    EXPECT_TRUE(fs::exists(path_ / "checkpoints/step_4.damaged/state.safetensors"));
    for (const int step : {1, 2}) {
        put(path_ / fmt::format("checkpoints/step_{}/state.safetensors", step), "x");
    }
    const std::string message =
        message_of<std::runtime_error>([&] { newest_whole_checkpoint(path_); });
    EXPECT_NE(message.find("step_3"), std::string::npos) << message;
}

TEST_F(RunFolderTest, ResumeShowsWhatDiffers) {
    create();
    Parameters changed = parameters;
    changed[1].second = 0.001;
    changed.emplace_back("epochs", std::int64_t{5});
    changed.erase(changed.begin() + 3);
    const std::string message = message_of<std::invalid_argument>([&] { resume(changed); });
    EXPECT_NE(message.find("lr: 0.0002 -> 0.001"), std::string::npos) << message;
    EXPECT_NE(message.find("drop_last: false -> (absent)"), std::string::npos) << message;
    EXPECT_NE(message.find("--config " + (path_ / "params.json").string()), std::string::npos)
        << message;
    EXPECT_EQ(message.find("epochs"), std::string::npos) << message;
    EXPECT_EQ(message.find("batch_size"), std::string::npos) << message;
    EXPECT_EQ(read_parameters(path_), parameters);

    Parameters longer = parameters;
    longer.emplace_back("epochs", std::int64_t{5});
    resume(longer);
    EXPECT_EQ(read_parameters(path_), longer);
    EXPECT_THROW(RunFolder::resume(path_, "train classifier", longer, {}), std::invalid_argument);
}

TEST_F(RunFolderTest, IsHeldByOneAtATime) {
    RunFolder run = create();
    EXPECT_NE(message_of<std::runtime_error>([&] { resume(); }).find("another process"),
              std::string::npos);
}

TEST_F(RunFolderTest, ResumedMetricsEndAsIfNeverInterrupted) {
    const auto row = [](RunFolder& run, int step) {
        const double values[] = {step / 200.0, 0.1F + step * 0.001};
        run.append_metrics(step, values);
    };
    std::string whole;
    {
        RunFolder run = RunFolder::create(folder_ / "whole", "train gan", parameters);
        run.open_metrics({"epoch", "loss"});
        for (int step = 200; step <= 1000; step += 200) {
            row(run, step);
        }
        whole = contents(folder_ / "whole/metrics.csv");
        EXPECT_EQ(whole.substr(0, whole.find("400")), "step,epoch,loss\n200,1,0.3\n");
    }
    {
        RunFolder run = create();
        run.open_metrics({"epoch", "loss"});
        for (int step = 200; step <= 800; step += 200) {
            row(run, step);
        }
    }
    put(path_ / "metrics.csv",
        contents(path_ / "metrics.csv") + "1000,5,1."); // killed in the middle
    RunFolder run = resume();
    run.open_metrics({"epoch", "loss"}, 400);
    row(run, 600);
    row(run, 800);
    row(run, 1000);
    EXPECT_EQ(contents(path_ / "metrics.csv"), whole);
    const Metrics metrics = read_metrics(path_ / "metrics.csv");
    EXPECT_EQ(metrics.column("epoch"), (std::vector<double>{1, 2, 3, 4, 5}));
    EXPECT_THROW(metrics.column("x"), std::runtime_error);
    const double one[] = {1};
    EXPECT_THROW(run.append_metrics(1200, one), std::invalid_argument);
}

TEST_F(RunFolderTest, MetricsOfOtherColumnsAreNotCut) {
    { create().open_metrics({"loss"}); }
    const std::string before = contents(path_ / "metrics.csv");
    RunFolder run = resume();
    EXPECT_THROW(run.open_metrics({"loss", "accuracy"}, 0), std::runtime_error);
    EXPECT_EQ(contents(path_ / "metrics.csv"), before);
}

TEST_F(RunFolderTest, LogKeepsEveryLine) {
    testing::internal::CaptureStdout();
    { create().log("first"); }
    resume().log("second");
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "first\nsecond\n");
    EXPECT_EQ(contents(path_ / "log.txt"), "first\nsecond\n");
}

TEST_F(RunFolderTest, KeepsTheLastCheckpoints) {
    RunFolder run = create();
    EXPECT_FALSE(run.latest_checkpoint());
    for (const int step : {5, 10, 100, 20}) {
        run.write_checkpoint(step,
                             {{"a.safetensors", bytes_of("a" + std::to_string(step))},
                              {"b.safetensors", bytes_of("b")}},
                             2);
    }
    const auto all = list_checkpoints(path_);
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].step, 20);
    EXPECT_EQ(all[1].step, 100); // by number, not by name
    EXPECT_EQ(contents(all[0].folder / "a.safetensors"), "a20");
    run.write_checkpoint(100, {{"a.safetensors", bytes_of("again")}}, 2);
    EXPECT_EQ(contents(all[1].folder / "a.safetensors"), "again");
    EXPECT_FALSE(fs::exists(all[1].folder / "b.safetensors"));
    EXPECT_EQ(std::distance(fs::directory_iterator(path_ / "checkpoints"), {}), 2);
    EXPECT_THROW(run.write_checkpoint(1, {}, 0), std::invalid_argument);
}

TEST_F(RunFolderTest, TheBestIsReplacedAtOnceAndIsNoStep) {
    {
        RunFolder run = create();
        run.write_best("generator.safetensors", bytes_of("first"));
        run.write_checkpoint(3, {{"generator.safetensors", bytes_of("third")}}, 1);
        run.write_best("generator.safetensors", bytes_of("better"));
        run.write_checkpoint(4, {{"generator.safetensors", bytes_of("fourth")}}, 1);
    }
    const fs::path best = best_checkpoint(path_);
    EXPECT_EQ(contents(best / "generator.safetensors"), "better");
    EXPECT_EQ(latest_checkpoint(path_)->step, 4); // best is not among them, and is kept
    // What a killed writer left goes when the run goes on; the best itself stays.
    put(best / "generator.safetensors.17-0.partial", "half");
    resume();
    EXPECT_EQ(std::distance(fs::directory_iterator(best), {}), 1);
    EXPECT_EQ(contents(best / "generator.safetensors"), "better");
}

// What may not be read is not taken for a run without checkpoints.
TEST_F(RunFolderTest, CheckpointsThatMayNotBeReadAreNotNone) {
    create();
    EXPECT_TRUE(list_checkpoints(path_).empty());
    EXPECT_TRUE(list_checkpoints(folder_ / "nowhere").empty());
    fs::permissions(folder_.path(), fs::perms(0755));
    fs::permissions(path_ / "checkpoints", fs::perms::none);
    {
        const Unprivileged scope;
        if (!scope.still_root()) {
            EXPECT_THROW(list_checkpoints(path_), fs::filesystem_error);
        }
    }
    fs::permissions(path_ / "checkpoints", fs::perms(0755));
}

// A child is killed while it writes one large checkpoint after the other; whatever is listed
// afterwards must be whole.
TEST_F(RunFolderTest, AKilledWriterLeavesCompleteCheckpoints) {
    constexpr std::size_t size = 4 << 20;
    for (int attempt = 0; attempt < 6; ++attempt) {
        const fs::path path = folder_ / ("killed" + std::to_string(attempt));
        int ready[2];
        ASSERT_EQ(::pipe(ready), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            RunFolder run = RunFolder::create(path, "train gan", parameters);
            for (int step = 1;; ++step) {
                const std::vector<std::byte> bytes(size, static_cast<std::byte>(step));
                run.write_checkpoint(step, {{"a", bytes}, {"b", bytes}}, 2);
                (void)!::write(ready[1], "x", 1);
            }
        }
        char one = 0;
        ASSERT_EQ(::read(ready[0], &one, 1), 1);
        ::usleep(static_cast<useconds_t>(1500 * attempt)); // into the writing of the second
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        ::close(ready[0]);
        ::close(ready[1]);
        const auto all = list_checkpoints(path);
        ASSERT_FALSE(all.empty());
        for (const Checkpoint& checkpoint : all) {
            for (const char* file : {"a", "b"}) {
                EXPECT_EQ(contents(checkpoint.folder / file),
                          std::string(size, static_cast<char>(checkpoint.step)));
            }
        }
        RunFolder::resume(path, "train gan", parameters, {});
        for (const auto& entry : fs::directory_iterator(path / "checkpoints")) {
            EXPECT_EQ(entry.path().filename().string().find('.'), std::string::npos);
        }
    }
}

// No space left: stood in for by the limit on a file's size, in a child so that it ends with it.
TEST_F(RunFolderTest, AFullDiskLeavesTheLastCheckpoint) {
    {
        RunFolder run = create();
        run.write_checkpoint(1, {{"a", bytes_of("whole")}}, 3);
    }
    const pid_t child = ::fork();
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{1 << 16, 1 << 16};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        RunFolder run = resume();
        const std::string message = message_of<std::runtime_error>([&] {
            run.write_checkpoint(2, {{"a", std::vector<std::byte>(1 << 20)}}, 1);
        });
        ::_exit(message.find("/a: cannot write the file: ") != std::string::npos ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    const auto all = list_checkpoints(path_);
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(contents(all[0].folder / "a"), "whole");
    EXPECT_EQ(std::distance(fs::directory_iterator(path_ / "checkpoints"), {}), 1);
}

TEST_F(RunFolderTest, DamagedParametersAreNamed) {
    create();
    for (const char* damaged : {"", "{", "[]", "{\"run\": 1, \"parameters\": {}}",
                                "{\"run\": \"train gan\", \"parameters\": {\"a\": [1]}}"}) {
        put(path_ / "params.json", damaged);
        const std::string message = message_of<std::runtime_error>([&] { resume(); });
        EXPECT_NE(message.find("params.json"), std::string::npos) << damaged << ": " << message;
    }
}

TEST_F(RunFolderTest, DamagedMetricsAreNamed) {
    put(folder_ / "m.csv", "step,loss\n1,0.5\n2,x\n");
    EXPECT_NE(
        message_of<std::runtime_error>([&] { read_metrics(folder_ / "m.csv"); }).find("line 3"),
        std::string::npos);
    put(folder_ / "m.csv", "step,loss\n1\n");
    EXPECT_THROW(read_metrics(folder_ / "m.csv"), std::runtime_error);
    put(folder_ / "m.csv", "step,loss\n1,nan\n2,-inf\n");
    EXPECT_EQ(read_metrics(folder_ / "m.csv").rows.size(), 2u);
}

} // namespace
} // namespace patchforge
