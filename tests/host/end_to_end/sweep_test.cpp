// `sweep` as a user runs it: what fails, what goes on, and what is left alone.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "host/run/run_folder.h"
#include "tests/host/end_to_end/program.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

using testing::bytes_of_file;
using testing::Outcome;
using testing::run_program;
using testing::ScratchFolder;

std::string patches(const ScratchFolder& folder) {
    const Outcome made = run_program("patchforge-cpu", {"tissue", folder / "set", "--patients", "4",
                                                        "--patches", "10", "--size", "9"});
    EXPECT_EQ(made.status, 0) << made.output;
    return folder / "set";
}

TEST(SweepRuns, PartsInProcessesOfTheirOwnMakeTheSameTables) {
    const ScratchFolder folder("sweep-parts");
    put(folder / "s.json", R"({
        "prepare": {"set": "tissue {out} --patients 4 --patches 10 --size 9"},
        "commands": "train gan --data {set} --steps 4 --hidden-dims 8,8",
        "grid": {"--loss": ["ns", "hinge"]}, "figures": {"loss": "metrics.csv g_loss"}})");
    const auto call = [&](const std::string& out, std::vector<std::string> more) {
        more.insert(more.begin(), {"sweep", folder / "s.json", "--out", folder / out});
        return run_program("patchforge-cpu", more);
    };
    const std::string script = call("parts", {"--slurm"}).output;
    EXPECT_NE(script.find("--array=1-2"), std::string::npos) << script;
    EXPECT_NE(script.find(" --only \"$SLURM_ARRAY_TASK_ID\""), std::string::npos) << script;
    EXPECT_NE(call("parts", {"--only", "2"}).output.find("run --only 0 first"), std::string::npos);
    for (const std::string part : {"0", "2", "1"}) {
        const Outcome outcome = call("parts", {"--only", part});
        EXPECT_EQ(outcome.status, 0) << outcome.output;
    }
    EXPECT_EQ(call("parts", {"--only", "3"}).status, 2);
    const Outcome tables = call("parts", {});
    EXPECT_NE(tables.output.find("2 of 2 runs finished"), std::string::npos) << tables.output;
    EXPECT_EQ(call("whole", {}).status, 0);
    EXPECT_EQ(read_metrics(folder / "parts/loss-hinge/run/metrics.csv").rows,
              read_metrics(folder / "whole/loss-hinge/run/metrics.csv").rows);
}

TEST(SweepRuns, GoOnAfterAFailureAndAreNotRunTwice) {
    const ScratchFolder folder("sweep");
    put(folder / "s.json", R"({
        "commands": ["train gan --data {data} --steps 6 --log-interval 2 --hidden-dims 8,8",
                     "generate --run {out} --count 4 --out {out}/fakes"],
        "grid": {"--loss": ["ns", "bake", "hinge"]}, "seeds": [0, 1],
        "figures": {"loss": "metrics.csv g_loss"}})");
    const std::vector<std::string> call = {"sweep", folder / "s.json",        "--out", folder / "o",
                                           "--set", "data=" + patches(folder)};
    auto listed = call;
    listed.push_back("--list");
    const Outcome list = run_program("patchforge-cpu", listed);
    EXPECT_EQ(std::count(list.output.begin(), list.output.end(), '\n'), 12) << list.output;
    EXPECT_FALSE(std::filesystem::exists(folder / "o"));

    const Outcome first = run_program("patchforge-cpu", call);
    EXPECT_EQ(first.status, 1) << first.output;
    EXPECT_NE(first.output.find("loss bake, seed 1: --loss"), std::string::npos) << first.output;
    EXPECT_NE(first.output.find("4 of 6 runs finished"), std::string::npos) << first.output;
    const double a = read_metrics(folder / "o/loss-hinge/0/metrics.csv").column("g_loss").back();
    const double b = read_metrics(folder / "o/loss-hinge/1/metrics.csv").column("g_loss").back();
    EXPECT_EQ(read_metrics(folder / "o/loss-hinge/0/metrics.csv").rows.size(), 3u);
    EXPECT_TRUE(std::filesystem::exists(folder / "o/loss-hinge/1/fakes/fake_000003.png"));
    const std::string page = bytes_of_file(folder / "o/sweep.md");
    EXPECT_NE(page.find("| loss bake | `--loss bake` | 0 of 2 | – |"), std::string::npos) << page;
    const std::size_t row = page.find("| loss hinge | `--loss hinge` | 2 | ");
    ASSERT_NE(row, std::string::npos) << page;
    const double mean = std::stod(page.substr(row + 36));
    EXPECT_TRUE(std::abs(mean - (a + b) / 2) <= 0.005 * std::abs(mean)) << page; // three digits

    // What is finished is left alone: a log that is gone does not come back.
    std::filesystem::remove(folder / "o/loss-hinge/0.log");
    const Outcome second = run_program("patchforge-cpu", call);
    EXPECT_EQ(second.status, 1) << second.output;
    EXPECT_FALSE(std::filesystem::exists(folder / "o/loss-hinge/0.log"));
    EXPECT_EQ(bytes_of_file(folder / "o/sweep.md"), page);

    // Runs of other commands are not mixed with those there, and no other folder is taken.
    std::string other = bytes_of_file(folder / "s.json");
    other.replace(other.find("--steps 6"), 9, "--steps 8");
    put(folder / "s.json", other);
    const Outcome mixed = run_program("patchforge-cpu", call);
    EXPECT_EQ(mixed.status, 2);
    EXPECT_NE(mixed.output.find("loss-ns/0.done: was made by other commands"), std::string::npos)
        << mixed.output;
    const Outcome foreign =
        run_program("patchforge-cpu", testing::with_options(call, {"--out", folder / "set"}));
    EXPECT_EQ(foreign.status, 2);
    EXPECT_NE(foreign.output.find("no sweep made this folder"), std::string::npos);
}

// Killed in the middle of a training, which dies with it; the same command ends in the bytes of a
// training that nothing disturbed.
TEST(SweepRuns, GoOnWithATrainingThatWasKilled) {
    const ScratchFolder folder("sweep_killed");
    const std::string set = patches(folder);
    put(folder / "s.json", R"({
        "commands": "train gan --data {data} --steps 4000 --checkpoint-interval 400 --keep 20 --log-interval 500 --hidden-dims 8,8 --threads 1",
        "seeds": [5], "figures": {"loss": "metrics.csv g_loss"}})");
    const std::string call = fmt::format("build/patchforge-cpu sweep {} --out {} --set data={}",
                                         folder / "s.json", folder / "o", set);
    const std::string run = folder / "o/as-written/5";
    const std::string killed =
        fmt::format("{} > /dev/null 2>&1 & sweep=$!;"
                    "while [ ! -d {}/checkpoints/step_400 ]; do kill -0 $sweep || exit 3; done;"
                    "exec 2> /dev/null; kill -KILL $sweep; wait $sweep; [ $? = 137 ]",
                    call, run);
    const auto in_time = [&] {
        const bool ended = std::system(killed.c_str()) == 0;
        return ended && !std::filesystem::exists(run + ".done") &&
               !std::filesystem::exists(run + "/report.html");
    };
    for (int late = 0; !in_time(); ++late) { // a busy machine lets it finish first
        ASSERT_LT(late, 20);
        std::filesystem::remove_all(folder / "o");
    }
    testing::await_release(run);
    ASSERT_EQ(std::system((call + " > /dev/null 2>&1").c_str()), 0);
    EXPECT_NE(bytes_of_file(run + ".log").find("Resumed from"), std::string::npos);
    const Outcome undisturbed = run_program("patchforge-cpu", {"train",
                                                               "gan",
                                                               "--data",
                                                               set,
                                                               "--steps",
                                                               "4000",
                                                               "--checkpoint-interval",
                                                               "400",
                                                               "--log-interval",
                                                               "500",
                                                               "--hidden-dims",
                                                               "8,8",
                                                               "--threads",
                                                               "1",
                                                               "--keep",
                                                               "20",
                                                               "--out",
                                                               folder / "run",
                                                               "--seed",
                                                               "5"});
    ASSERT_EQ(undisturbed.status, 0) << undisturbed.output;
    for (const char* file : {"metrics.csv", "checkpoints/step_4000/generator.safetensors",
                             "checkpoints/step_4000/state.safetensors"}) {
        EXPECT_TRUE(bytes_of_file(run + '/' + file) ==
                    bytes_of_file(folder / ("run/" + std::string(file))))
            << file;
    }
}

} // namespace
} // namespace patchforge
