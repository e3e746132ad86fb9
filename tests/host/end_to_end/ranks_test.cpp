// Trainings and other work of several processes, started by mpirun on this machine: more ranks than cores.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <unistd.h>

#include "tests/host/end_to_end/ranks_fixture.h"

namespace patchforge {
namespace {

namespace fs = std::filesystem;
using testing::bytes_of_file;
using testing::Outcome;
using testing::RanksTest;
using testing::ScratchFolder;
using testing::Started;
using testing::Words;

TEST_F(RanksTest, EveryFamilyEndsInTheSameBytesOnOneToFourRanks) {
    for (const std::string family :
         {"gan", "gan of much memory", "gan stack", "classifier", "detector",
          "translate super-resolution", "translate stain", "translate cycle", "translate refine"}) {
        std::string expected;
        for (const int ranks : {1, 2, 3, 4}) {
            const std::string out = family + std::to_string(ranks);
            const Outcome outcome = run(ranks, training(family, out));
            ASSERT_EQ(outcome.status, 0) << outcome.output;
            EXPECT_EQ(count(outcome.output, "Look at"), 1) << outcome.output;
            if (family == "gan of much memory") { // shared, not sent
                EXPECT_EQ(count(outcome.output, "bytes of sums"), 0) << outcome.output;
            }
            if (ranks == 1) {
                expected = state(out);
                EXPECT_GE(count(expected, "state.safetensors"), family == "gan stack" ? 2 : 1);
            }
            EXPECT_TRUE(state(out) == expected) << family << " on " << ranks << " ranks";
        }
    }
}

TEST_F(RanksTest, ARunThatARankWasKilledInGoesOnOnAnotherNumberOfRanks) {
    Started job = start(launched(4, long_training("killed")));
    ASSERT_TRUE(checkpointed(job, "killed")) << job.wait().output;
    ASSERT_EQ(job.ranks().size(), 4u);
    ::kill(job.ranks().at(2), SIGKILL);
    EXPECT_NE(job.wait().status, 0);
    expect_goes_on("killed");
}

// The second stage of a run that was stopped between its two is cut as the first was.
TEST_F(RanksTest, ASecondStageBeginsWithTheShardsOfTheFirst) {
    ASSERT_EQ(run(2, training("gan stack", "stages")).status, 0);
    const std::string whole = state("stages");
    for (const auto& entry : fs::directory_iterator(folder_ / "stages")) {
        if (entry.path().filename() != "stage-1") {
            fs::remove_all(entry.path());
        }
    }
    EXPECT_FALSE(state("stages") == whole);
    Words rest = testing::with_options(training("gan stack", "stages"), {"--shards", "0"});
    rest.push_back("--resume");
    const Outcome outcome = run(1, rest);
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_TRUE(state("stages") == whole);
}

TEST_F(RanksTest, AnInterruptSavesOnce) {
    Started job = start(launched(2, long_training("stopped")));
    ASSERT_TRUE(checkpointed(job, "stopped")) << job.wait().output;
    ::kill(job.pid(), SIGUSR1); // mpirun passes it on to every rank
    const Outcome outcome = job.wait();
    EXPECT_EQ(outcome.status, 128 + SIGUSR1) << outcome.output;
    EXPECT_EQ(count(outcome.output, "everything is saved"), 1) << outcome.output;
}

// An interrupted mpirun sends SIGTERM after a second, SIGKILL after another, and ends with a status of its own.
TEST_F(RanksTest, ControlCSavesOnceAndTheRunGoesOn) {
    Started hasty = start(launched(2, long_training("hasty")));
    ASSERT_TRUE(checkpointed(hasty, "hasty")) << hasty.wait().output;
    ::kill(hasty.pid(), SIGINT);
    EXPECT_EQ(hasty.wait().status, 1);
    expect_goes_on("hasty"); // saved within that second or not

    // The same SIGTERM, and nobody in a hurry.
    Started patient = start(launched(2, long_training("patient")));
    ASSERT_TRUE(checkpointed(patient, "patient")) << patient.wait().output;
    for (const pid_t rank : patient.ranks()) {
        ::kill(rank, SIGTERM);
    }
    const Outcome outcome = patient.wait();
    EXPECT_EQ(outcome.status, 128 + SIGTERM) << outcome.output;
    EXPECT_EQ(count(outcome.output, "everything is saved"), 1) << outcome.output;
    expect_goes_on("patient");
}

// Patience of seconds: that a busy disk takes one to keep a checkpoint must not end a job.
TEST_F(RanksTest, ARankThatHangsEndsAllWithOneError) {
    for (const std::size_t stopped : {std::size_t{0}, std::size_t{1}}) {
        Started job =
            start(launched(2, testing::with_options(long_training("hung" + std::to_string(stopped)),
                                                    {"--rank-timeout", "4"})));
        ASSERT_TRUE(checkpointed(job, "hung" + std::to_string(stopped))) << job.wait().output;
        const std::vector<pid_t> ranks = job.ranks();
        ASSERT_EQ(ranks.size(), 2u);
        ::kill(ranks[stopped], SIGSTOP);
        const Outcome outcome = job.wait();
        EXPECT_NE(outcome.status, 0);
        EXPECT_EQ(count(outcome.output, "patchforge: error: "), 1) << outcome.output;
        EXPECT_NE(outcome.output.find("nothing came from the other ranks for 4 s"),
                  std::string::npos)
            << outcome.output;
    }
}

// An mpirun that ends a job wakes the stopped rank before it kills it. Held up itself, it gives that rank time to
// speak.
TEST_F(RanksTest, ARankThatWakesAfterTheErrorStaysSilent) {
    Started job =
        start(launched(2, testing::with_options(long_training("late"), {"--rank-timeout", "4"})));
    ASSERT_TRUE(checkpointed(job, "late")) << job.wait().output;
    const std::vector<pid_t> ranks = job.ranks();
    ASSERT_EQ(ranks.size(), 2u);
    ::kill(ranks[0], SIGSTOP);
    ::kill(job.pid(), SIGSTOP);
    // Four seconds of patience, three until the other speaks for it; shorter waits show less, and never fail.
    std::this_thread::sleep_for(std::chrono::seconds(9));
    ::kill(ranks[0], SIGCONT);
    std::this_thread::sleep_for(std::chrono::seconds(1));
    ::kill(job.pid(), SIGCONT);
    const Outcome outcome = job.wait();
    EXPECT_NE(outcome.status, 0);
    EXPECT_EQ(count(outcome.output, "patchforge: error: "), 1) << outcome.output;
}

TEST_F(RanksTest, BadDataOnOneRankEndsAllWithOneError) {
    std::ofstream(folder_ / "bad.pfs") << "no packed set";
    Words words = {"mpirun", "-n", "1", "build/patchforge-cpu"};
    const Words good = training("gan", "bad");
    words.insert(words.end(), good.begin(), good.end());
    words.insert(words.end(), {":", "-n", "2", "build/patchforge-cpu"});
    const Words bad = testing::with_options(good, {"--data", folder_ / "bad.pfs"});
    words.insert(words.end(), bad.begin(), bad.end());
    const Outcome outcome = start(words).wait();
    EXPECT_NE(outcome.status, 0);
    EXPECT_EQ(count(outcome.output, "patchforge: error: "), 1) << outcome.output;
    EXPECT_NE(outcome.output.find("bad.pfs"), std::string::npos) << outcome.output;
    // Two ranks read it; the first to see it speaks.
    EXPECT_GE(count(outcome.output, "rank 1 of 3 on ") + count(outcome.output, "rank 2 of 3 on "),
              1)
        << outcome.output;
}

TEST_F(RanksTest, WrongCallsAreRefusedOnce) {
    for (const auto& [arguments, refusal] :
         {std::pair(Words{"pack", folder_ / "tissue", "--out", folder_ / "x.pfs"},
                    "is work for one process"),
          {testing::with_options(training("gan", "few"), {"--shards", "2"}),
           "there are 3 ranks, and each needs a shard"}}) {
        const Outcome outcome = run(3, arguments);
        EXPECT_EQ(outcome.status, 2);
        EXPECT_EQ(count(outcome.output, "patchforge: error: "), 1) << outcome.output;
        EXPECT_NE(outcome.output.find(refusal), std::string::npos) << outcome.output;
    }
}

// Times are the only difference: these values of JSON, and the last number of a table's row.
std::string without_times(const std::string& text) {
    std::string rest;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        for (const std::string name : {"\"total_time\":", "\"seconds\":", "\"timestamp\":"}) {
            for (std::size_t at; (at = line.find(name)) != std::string::npos;) {
                line.erase(at, std::min(line.find_first_of(",}", at), line.size()) - at);
            }
        }
        const std::size_t before = line.find_last_not_of("0123456789.e+-");
        if (before != std::string::npos && line[before] == ',') {
            line.resize(before);
        }
        rest += lines.eof() ? line : line + '\n';
    }
    return rest;
}

// Expects the files of two folders to be the same; returns how many pictures there are.
int compare_folders(const fs::path& one, const fs::path& other) {
    int pictures = 0;
    for (const auto& entry : fs::recursive_directory_iterator(one)) {
        if (!entry.is_regular_file()) {
            continue;
        }
        const fs::path name = fs::relative(entry.path(), one);
        const std::string bytes = bytes_of_file(entry.path());
        if (name.extension() == ".png") {
            ++pictures;
            EXPECT_TRUE(bytes == bytes_of_file(other / name)) << name;
        } else if (name.extension() != ".html") { // pages say how long it took
            EXPECT_EQ(without_times(bytes), without_times(bytes_of_file(other / name))) << name;
        }
    }
    return pictures;
}

TEST_F(RanksTest, RowsAreSharedAndTheFilesAreThoseOfOneProcess) {
    ASSERT_EQ(run(1, training("classifier", "c")).status, 0);
    ASSERT_EQ(run(1, training("gan", "g")).status, 0);
    Words held_out = training("gan", "h");
    held_out.insert(held_out.end(), {"--test-patients", "2", "--conditional"});
    ASSERT_EQ(run(1, held_out).status, 0);
    const Words computing = {"--device", "cpu", "--threads", "1"};
    const auto with = [&](Words words) {
        words.insert(words.end(), computing.begin(), computing.end());
        return words;
    };
    for (const int ranks : {1, 3}) {
        const std::string n = std::to_string(ranks);
        for (const Words& words :
             {Words{"classify", folder_ / "set.pfs", "--model", folder_ / "c", "--csv",
                    folder_ / ("csv" + n)},
              Words{"generate", "--run", folder_ / "g", "--count", "70", "--out",
                    folder_ / ("fakes" + n), "--grid", folder_ / ("grid" + n)},
              Words{"attack", "--model", folder_ / "c", "--data", folder_ / "set.pfs", "--rows",
                    "all", "--method", "pgd,square,worst", "--eps", "8/255", "--batch-size", "9",
                    "--save", "--out", folder_ / ("attack" + n)},
              Words{"evaluate", "--run", folder_ / "g", "--data", folder_ / "set.pfs", "--count",
                    "40", "--features", folder_ / "c", "--out", folder_ / ("evaluated" + n)},
              Words{"privacy", "--run", folder_ / "h", "--data", folder_ / "set.pfs", "--fakes",
                    "700", "--search-steps", "3", "--tstr-epochs", "1", "--out",
                    folder_ / ("privacy" + n)},
              Words{"generate", "--run", folder_ / "h", "--count", "70", "--release",
                    folder_ / ("release" + n)}}) {
            const Outcome outcome = run(ranks, with(words));
            ASSERT_EQ(outcome.status, 0) << outcome.output;
        }
    }
    EXPECT_TRUE(bytes_of_file(folder_ / "csv1") == bytes_of_file(folder_ / "csv3"));
    EXPECT_TRUE(bytes_of_file(folder_ / "grid1") == bytes_of_file(folder_ / "grid3"));
    int pictures = 0;
    for (const std::string what : {"fakes", "attack", "evaluated", "privacy", "release"}) {
        pictures += compare_folders(folder_ / (what + "1"), folder_ / (what + "3"));
    }
    EXPECT_GT(pictures, 70);
}

TEST_F(RanksTest, SeveralPacksGiveTheBytesOfOneProcess) {
    for (const Words& words : {Words{"tissue", folder_ / "more", "--patients", "3", "--patches",
                                     "10", "--size", "16", "--seed", "7"},
                               Words{"pack", folder_ / "more", "--out", folder_ / "more.pfs"}}) {
        ASSERT_EQ(run(1, words).status, 0);
    }
    const std::string both = folder_ / "set.pfs" + "," + (folder_ / "more.pfs");
    for (const int ranks : {1, 2}) {
        const std::string n = std::to_string(ranks);
        for (const Words& words :
             {testing::with_options(training("gan", "g" + n), {"--data", both}),
              testing::with_options(training("classifier", "c" + n), {"--data", both}),
              Words{"attack",    "--model", folder_ / "c1", "--data",
                    both,        "--rows",  "all",          "--method",
                    "fgsm",      "--eps",   "8/255",        "--batch-size",
                    "9",         "--save",  "--device",     "cpu",
                    "--threads", "1",       "--out",        folder_ / ("a" + n)}}) {
            const Outcome outcome = run(ranks, words);
            ASSERT_EQ(outcome.status, 0) << outcome.output;
        }
    }
    EXPECT_TRUE(state("g1") == state("g2"));
    EXPECT_TRUE(state("c1") == state("c2"));
    EXPECT_GE(compare_folders(folder_ / "a1", folder_ / "a2"), 4 * 12 + 3 * 10); // of both packs
}

// Whether the list of a folder says that what stands there is a whole result.
bool is_whole(const std::string& folder) {
    return bytes_of_file(folder + "/.patchforge").find("\ncomplete\n") != std::string::npos;
}

TEST_F(RanksTest, PicturesAreAWholeResultWhenEveryRankHasWrittenItsOwn) {
    ASSERT_EQ(run(1, training("gan", "g")).status, 0);
    const auto generate = [&](const std::string& count, const std::string& out) {
        return Words{"generate", "--run", folder_ / "g", "--count",    count,
                     "--device", "cpu",   "--out",       folder_ / out};
    };
    // The second rank alone has nowhere to write to.
    Words words = launched(1, generate("6", "torn"));
    words.insert(words.begin(), {"mpirun", "-n", "1"});
    const Words other = launched(1, generate("6", "nowhere/at-all"));
    words.insert(words.end(), {":", "-n", "1"});
    words.insert(words.end(), other.begin(), other.end());
    const Outcome torn = start(words).wait();
    EXPECT_NE(torn.status, 0);
    EXPECT_EQ(count(torn.output, "patchforge: error: "), 1) << torn.output;
    EXPECT_NE(torn.output.find("nowhere/at-all"), std::string::npos) << torn.output;
    EXPECT_TRUE(fs::exists(folder_ / "torn/fake_000000.png"));
    EXPECT_FALSE(is_whole(folder_ / "torn"));

    Started job = start(launched(2, generate("100000", "left")));
    ASSERT_TRUE(appeared(job, folder_ / "left", "fake_")) << job.wait().output;
    ::kill(job.pid(), SIGINT);
    EXPECT_EQ(job.wait().status, 1);
    EXPECT_FALSE(is_whole(folder_ / "left"));
    // What they left is taken back.
    ASSERT_EQ(run(2, generate("9", "left")).status, 0);
    ASSERT_EQ(run(1, generate("9", "alone")).status, 0);
    EXPECT_TRUE(is_whole(folder_ / "left"));
    EXPECT_EQ(compare_folders(folder_ / "left", folder_ / "alone"), 9);
}

TEST_F(RanksTest, SrunWithoutPmixSaysFirstWhatToDo) {
    for (const std::string rank : {"0", "1"}) {
        const Outcome outcome = start({"env", "SLURM_PROCID=" + rank, "SLURM_STEP_NUM_TASKS=2",
                                       "SLURM_LOCALID=" + rank, program_, "doctor"})
                                    .wait();
        EXPECT_EQ(outcome.status, 1);
        if (rank == "0") {
            EXPECT_EQ(outcome.output.find("patchforge: error: srun started 2 processes"), 0u)
                << outcome.output;
            EXPECT_NE(outcome.output.find("srun --mpi=pmix"), std::string::npos);
        } else {
            EXPECT_EQ(outcome.output, "");
        }
    }
}

TEST_F(RanksTest, AnOrdinaryUserMayStartThem) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "this user is one: the other tests have shown it";
    }
    const std::string program = fs::absolute("build/patchforge-cpu").string();
    const Words nobody = {"runuser", "-u", "nobody", "--"};
    const auto as_nobody = [&](const Words& words) {
        Words all = nobody;
        all.insert(all.end(), words.begin(), words.end());
        return start(all).wait();
    };
    if (as_nobody({program, "--version"}).status != 0) {
        GTEST_SKIP() << "nobody may not run " << program;
    }
    fs::permissions(folder_.path(), fs::perms::all);
    Words words = {"env",
                   "TMPDIR=" + folder_.path().string(),
                   "HOME=" + folder_.path().string(),
                   "XDG_CACHE_HOME=" + (folder_ / "nobody"),
                   "mpirun",
                   "-n",
                   "2",
                   program};
    const Words arguments = training("gan", "theirs");
    words.insert(words.end(), arguments.begin(), arguments.end());
    const Outcome outcome = as_nobody(words);
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_EQ(count(outcome.output, "Look at"), 1) << outcome.output;
}

// Two network namespaces joined by a pair of virtual Ethernet devices, gone with their scope.
class TwoHosts {
  public:
    TwoHosts() {
        const std::string pid = std::to_string(::getpid());
        for (const char end : {'a', 'b'}) {
            names_.push_back("pf" + pid + end);
        }
        const std::string a = names_[0], b = names_[1];
        made_ = run("ip netns add " + a) && run("ip netns add " + b) &&
                run("ip link add " + a + " type veth peer name " + b) &&
                run("ip link set " + a + " netns " + a) &&
                run("ip link set " + b + " netns " + b) &&
                run("ip -n " + a + " addr add 10.77.0.1/24 dev " + a) &&
                run("ip -n " + b + " addr add 10.77.0.2/24 dev " + b) && link(0, "up") &&
                link(1, "up") && run("ip -n " + a + " link set lo up") &&
                run("ip -n " + b + " link set lo up");
    }
    ~TwoHosts() {
        for (const std::string& name : names_) { // with the daemon that a cut-off mpirun left
            run("ip netns pids " + name + " | xargs -r kill -9");
            run("ip netns del " + name);
        }
    }
    bool made() const { return made_; }
    const std::string& name(std::size_t host) const { return names_[host]; }
    bool link(std::size_t host, const std::string& state) const {
        return run("ip -n " + names_[host] + " link set " + names_[host] + " " + state);
    }

  private:
    static bool run(const std::string& command) {
        return std::system((command + " > /dev/null 2>&1").c_str()) == 0;
    }
    std::vector<std::string> names_;
    bool made_ = false;
};

TEST_F(RanksTest, TwoHostsEndInTheBytesOfOneAndACutOffOneLosesNothing) {
    const TwoHosts hosts;
    if (!hosts.made()) {
        GTEST_SKIP() << "network namespaces cannot be made here: two hosts were not tried";
    }
    // What mpirun starts the other host's daemon with, in ssh's place.
    const std::string agent = folder_ / "agent";
    std::ofstream(agent) << "#!/bin/sh\nshift\nexec ip netns exec " << hosts.name(1)
                         << " sh -c \"$*\"\n";
    fs::permissions(agent, fs::perms::owner_all);
    const auto on_both = [&](const Words& arguments) {
        Words words = {"timeout",
                       "-s",
                       "KILL",
                       "600",
                       "ip",
                       "netns",
                       "exec",
                       hosts.name(0),
                       "mpirun",
                       "--mca",
                       "plm_rsh_agent",
                       agent,
                       "--mca",
                       "oob_tcp_if_include",
                       "10.77.0.0/24",
                       "--mca",
                       "btl",
                       "tcp,self",
                       "--mca",
                       "btl_tcp_if_include",
                       "10.77.0.0/24",
                       "--host",
                       "10.77.0.1:1,10.77.0.2:1",
                       "-n",
                       "2",
                       "build/patchforge-cpu"};
        words.insert(words.end(), arguments.begin(), arguments.end());
        return words;
    };
    const Outcome outcome = start(on_both(training("gan", "two"))).wait();
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    ASSERT_EQ(run(1, training("gan", "one")).status, 0);
    EXPECT_TRUE(state("two") == state("one"));

    Words words = testing::with_options(long_training("cut"), {"--rank-timeout", "5"});
    Started job = start(on_both(words));
    ASSERT_TRUE(checkpointed(job, "cut")) << job.wait().output;
    ASSERT_TRUE(hosts.link(0, "down"));
    // mpirun itself may wait for its own daemon on the other side: what counts is what the ranks say.
    const std::string error = "nothing came from the other ranks for 5 s";
    bool told = false;
    for (int tenths = 0; tenths < 1200 && !told; ++tenths) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        told = bytes_of_file(folder_ / "output.txt").find(error) != std::string::npos;
    }
    EXPECT_TRUE(told) << bytes_of_file(folder_ / "output.txt");
    ::kill(job.pid(), SIGKILL);
    job.wait();
    EXPECT_TRUE(fs::exists(folder_ / "cut/checkpoints"));
}

} // namespace
} // namespace patchforge
