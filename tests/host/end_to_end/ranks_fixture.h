// Programs that mpirun starts on this machine: more ranks than cores.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "tests/host/end_to_end/program.h"

namespace patchforge::testing {

using Words = std::vector<std::string>;

// Why mpirun cannot be tested here; empty: it can.
inline std::string why_no_ranks() {
    const std::string said = run_program("patchforge-cpu", {"doctor"}).output;
    if (said.find("built without MPI") != std::string::npos) {
        return "the program was built without MPI (libopenmpi-dev)";
    }
    return said.find("started by mpirun") == std::string::npos ? "mpirun (openmpi-bin) is not here"
                                                               : "";
}

// A command that runs, with its output in a file.
class Started {
  public:
    Started(const Words& words, const std::filesystem::path& output) : output_(output) {
        std::vector<char*> argv;
        for (const std::string& word : words) {
            argv.push_back(const_cast<char*>(word.c_str()));
        }
        argv.push_back(nullptr);
        child_ = ::fork();
        if (child_ == 0) {
            const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
            ::dup2(file, 1);
            ::dup2(file, 2);
            ::execvp(argv[0], argv.data());
            ::_exit(127);
        }
    }
    pid_t pid() const { return child_; }
    // The processes that it started and that run the program.
    std::vector<pid_t> ranks() const {
        std::vector<pid_t> found;
        const std::string own = std::to_string(child_);
        std::ifstream children("/proc/" + own + "/task/" + own + "/children");
        for (pid_t pid = 0; children >> pid;) {
            const std::string name = "/proc/" + std::to_string(pid) + "/cmdline";
            std::ifstream file(name);
            std::string command;
            std::getline(file, command, '\0');
            if (command.find("patchforge") != std::string::npos) {
                found.push_back(pid);
            }
        }
        return found;
    }
    bool running() { return ::waitpid(child_, &status_, WNOHANG) == 0; }
    Outcome wait() {
        ::waitpid(child_, &status_, 0);
        return {WIFSIGNALED(status_) ? -WTERMSIG(status_) : WEXITSTATUS(status_),
                bytes_of_file(output_)};
    }

  private:
    std::filesystem::path output_;
    pid_t child_ = 0;
    int status_ = 0;
};

class RanksTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (const std::string reason = why_no_ranks(); !reason.empty()) {
            GTEST_SKIP() << reason << ": nothing was run by several processes";
        }
        for (const auto& [name, value] : {std::pair("OMPI_ALLOW_RUN_AS_ROOT", "1"),
                                          {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                                          {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
                                          {"OMPI_MCA_hwloc_base_binding_policy", "none"},
                                          {"OMPI_MCA_mpi_yield_when_idle", "1"}}) {
            ::setenv(name, value, 1);
        }
        const Outcome made =
            run_program("patchforge-cpu", {"tissue", folder_ / "tissue", "--patients", "4",
                                           "--patches", "12", "--size", "16"});
        ASSERT_EQ(made.status, 0) << made.output;
        const Outcome packed = run_program(
            "patchforge-cpu", {"pack", folder_ / "tissue", "--out", folder_ / "set.pfs"});
        ASSERT_EQ(packed.status, 0) << packed.output;
    }

    // "translate cycle": with what follows the family.
    Words training(const std::string& family, const std::string& out) const {
        const std::string set = folder_ / "set.pfs";
        Words words = {"train",        family.substr(0, family.find(' ')),
                       "--data",       set,
                       "--out",        folder_ / out,
                       "--seed",       "5",
                       "--device",     "cpu",
                       "--threads",    "1",
                       "--shards",     "4",
                       "--batch-size", "8"};
        const std::map<std::string, Words> rest = {
            {"gan",
             {"--steps", "9", "--log-interval", "3", "--checkpoint-interval", "4", "--norm-g",
              "batch", "--hidden-dim", "24"}},
            {"gan of much memory", {"--steps", "5", "--hidden-dim", "640"}},
            {"gan stack",
             {"--preset", "stack", "--latent-dim", "6", "--condition-dim", "3", "--steps", "4",
              "--stage-1-steps", "3", "--log-interval", "2"}},
            {"classifier", {"--epochs", "3", "--hidden-dims", "24,16", "--ema", "0.9"}},
            {"detector",
             {"--model", folder_ / "classifier1", "--attack", "fgsm", "--epochs", "2",
              "--hidden-dims", "16"}},
            {"translate super-resolution",
             {"--preset", "super-resolution", "--steps", "4", "--width", "2", "--blocks", "1"}},
            {"translate stain",
             {"--preset", "stain", "--steps", "4", "--width", "2", "--width-d", "2", "--layers-d",
              "1"}},
            {"translate cycle",
             {"--preset", "cycle", "--generator", "resnet-small", "--steps", "5", "--width", "2",
              "--width-d", "2", "--blocks", "1", "--layers-d", "1", "--pool", "5", "--judges",
              "0"}},
            {"translate refine",
             {"--preset",  "refine", "--target",        set, "--steps",    "5", "--width", "2",
              "--width-d", "2",      "--blocks",        "1", "--layers-d", "1", "--pool",  "9",
              "--judges",  "0",      "--refiner-steps", "2"}}};
        const Words& its = rest.at(family);
        words.insert(words.end(), its.begin(), its.end());
        return words;
    }
    Words launched(int ranks, const Words& arguments) const {
        Words words = {"mpirun", "-n", std::to_string(ranks), program_};
        if (ranks == 1) {
            words = {program_};
        }
        words.insert(words.end(), arguments.begin(), arguments.end());
        return words;
    }
    Started start(const Words& words) { return {words, folder_ / "output.txt"}; }
    Outcome run(int ranks, const Words& arguments) {
        return start(launched(ranks, arguments)).wait();
    }

    // The weights and moments of a run's checkpoints, and what it logged, of earlier stages too.
    std::string state(const std::string& out) const {
        std::string all;
        std::map<std::string, std::string> files;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / out)) {
            const std::string name = entry.path().string().substr((folder_ / out).size());
            if (entry.is_regular_file() &&
                (name.find("checkpoints/") != std::string::npos || name.ends_with("metrics.csv"))) {
                files[name] = bytes_of_file(entry.path());
            }
        }
        for (const auto& [name, bytes] : files) {
            all += name + bytes;
        }
        return all;
    }
    static int count(const std::string& text, const std::string& part) {
        int found = 0;
        for (std::size_t at = text.find(part); at != std::string::npos;
             at = text.find(part, at + 1)) {
            ++found;
        }
        return found;
    }
    // Until `folder` holds something whose name begins so.
    static bool appeared(Started& job, const std::filesystem::path& folder,
                         const std::string& beginning) {
        while (job.running()) {
            if (std::filesystem::exists(folder)) {
                for (const auto& entry : std::filesystem::directory_iterator(folder)) {
                    if (entry.path().filename().string().starts_with(beginning)) {
                        return true;
                    }
                }
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        return false;
    }
    bool checkpointed(Started& job, const std::string& out) const {
        return appeared(job, folder_ / (out + "/checkpoints"), "");
    }
    // Long enough to be interrupted.
    Words long_training(const std::string& out) const {
        return with_options(training("gan", out),
                            {"--steps", "100000", "--checkpoint-interval", "20"});
    }
    // A long training that was stopped somewhere goes on, on two ranks, and ends in the bytes of one that never was.
    void expect_goes_on(const std::string& out) {
        await_release(folder_ / out);
        std::int64_t last = 0;
        for (const auto& entry :
             std::filesystem::directory_iterator(folder_ / (out + "/checkpoints"))) {
            const std::string name = entry.path().filename().string();
            last =
                std::max<std::int64_t>(last, std::atoll(name.substr(name.find('_') + 1).c_str()));
        }
        const Words end = {"--steps", std::to_string(last + 13), "--keep", "1"};
        Words resumed = with_options(long_training(out), end);
        resumed.push_back("--resume");
        const Outcome ended = run(2, resumed);
        ASSERT_EQ(ended.status, 0) << ended.output;
        ASSERT_EQ(run(1, with_options(long_training(out + "-whole"), end)).status, 0);
        EXPECT_TRUE(state(out) == state(out + "-whole"));
    }

    ScratchFolder folder_{"ranks"};
    std::string program_ = "build/patchforge-cpu";
};

} // namespace patchforge::testing
