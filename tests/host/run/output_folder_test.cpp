#include "host/run/output_folder.h"

#include <gtest/gtest.h>

#include <csignal>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "data/atomic_file.h"
#include "host/run/run_folder.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

namespace fs = std::filesystem;

// Everything below a folder but lists.
std::set<std::string> files_in(const fs::path& folder) {
    std::set<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (!entry.is_directory() && entry.path().filename() != ".patchforge") {
            names.insert(entry.path().lexically_relative(folder).string());
        }
    }
    return names;
}

using Names = std::set<std::string>;

class OutputFolderTest : public ::testing::Test {
  protected:
    // One call of a verb, which ends well or is killed.
    void call(const std::string& verb, const Names& names, Earlier earlier, bool ends = true) {
        const pid_t child = ::fork();
        if (child == 0) {
            OutputFolder out(path_, verb, {}, earlier);
            for (const std::string& name : names) {
                fs::create_directories((path_ / name).parent_path());
                write_file_atomically(path_ / name, verb);
            }
            if (!ends) {
                AtomicFile half(path_ / "half");
                half.write("half");
                ::raise(SIGKILL);
            }
            out.complete();
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        ASSERT_EQ(WIFSIGNALED(status), !ends);
    }
    std::string refusal(const std::string& verb, const OutputFolder::Inputs& inputs = {},
                        Earlier earlier = Earlier::removed) {
        try {
            OutputFolder out(path_, verb, inputs, earlier);
        } catch (const std::exception& error) {
            return error.what();
        }
        return "";
    }

    TemporaryFolder folder_;
    fs::path path_ = folder_ / "out";
};

TEST_F(OutputFolderTest, TakesBackWhatItMadeAndNothingElse) {
    for (const bool ends : {true, false}) {
        call("generate", {"a.png", "class\n\\1/b.png", "class\n\\1/c.png"}, Earlier::removed, ends);
        EXPECT_EQ(files_in(path_).contains("class\n\\1/b.png"), true);
        put(path_ / "notes.txt", "mine");
        put(path_ / "class\n\\1/mine.png", "mine");
        call("generate", {"z.png"}, Earlier::removed);
        EXPECT_EQ(files_in(path_), (Names{"z.png", "notes.txt", "class\n\\1/mine.png"})) << ends;
        fs::remove_all(path_);
    }
}

TEST_F(OutputFolderTest, AddsToWhatIsWhole) {
    call("attack", {"a/1.png", "report.html"}, Earlier::kept);
    call("attack", {"b/1.png"}, Earlier::kept, false); // killed
    call("attack", {"c/1.png"}, Earlier::kept);
    EXPECT_EQ(files_in(path_), (Names{"a/1.png", "report.html", "c/1.png"}));
    OutputFolder out(path_, "attack", {}, Earlier::kept);
    fs::create_directories(path_ / "a/of a call that was killed");
    out.empty(path_ / "a");
    EXPECT_EQ(files_in(path_), (Names{"report.html", "c/1.png"}));
    put(path_ / "c/mine", "");
    EXPECT_THROW(out.empty(path_ / "c"), std::invalid_argument);
    EXPECT_TRUE(fs::exists(path_ / "c/mine"));
}

// A file that was there before is nobody's to take back, though a call replaced it.
TEST_F(OutputFolderTest, WhatWasThereStaysThoughItWasReplaced) {
    fs::create_directories(path_);
    std::ofstream(path_ / "metrics.jsonl") << "of months";
    call("evaluate", {"metrics.jsonl", "page"}, Earlier::kept, false);
    call("evaluate", {"other"}, Earlier::kept);
    EXPECT_EQ(files_in(path_), (Names{"metrics.jsonl", "other"}));
}

TEST_F(OutputFolderTest, KeepsTheEarlierResultAsideUntilTheNewOneIsWhole) {
    const fs::path aside = folder_ / "out.earlier";
    call("tour", {"gan/a", "report.html"}, Earlier::aside);
    put(path_ / "gan/notes.txt", "mine");
    for (int killed = 0; killed < 2; ++killed) {
        call("tour", {"gan/b"}, Earlier::aside, false);
        EXPECT_EQ(files_in(aside), (Names{"gan/a", "report.html"}));
        EXPECT_TRUE(files_in(path_).contains("gan/notes.txt"));
    }
    call("tour", {"gan/c"}, Earlier::aside);
    EXPECT_EQ(files_in(path_), (Names{"gan/c", "gan/notes.txt"}));
    EXPECT_FALSE(fs::exists(aside));
}

TEST_F(OutputFolderTest, LeavesFoldersOfOthersAlone) {
    fs::create_directories(path_ / "patches");
    put(path_ / "patches/1.png", "mine");
    for (const Earlier earlier : {Earlier::removed, Earlier::aside}) {
        EXPECT_NE(refusal("generate", {}, earlier).find("holds patches, which"), std::string::npos);
    }
    EXPECT_FALSE(fs::exists(path_ / ".patchforge"));
    fs::remove_all(path_);
    call("tour", {"a"}, Earlier::removed);
    EXPECT_NE(refusal("generate").find("`patchforge tour` made"), std::string::npos);
    const fs::path file = folder_ / "file";
    put(file, "");
    path_ = file;
    EXPECT_NE(refusal("generate").find("is a file"), std::string::npos);
}

TEST_F(OutputFolderTest, NothingThatIsReadLiesInIt) {
    fs::create_directories(path_ / "deep");
    fs::create_symlink(path_, folder_ / "link");
    for (const fs::path& input :
         {path_, path_ / "deep", folder_ / "link/deep", folder_ / "out/../out"}) {
        EXPECT_NE(refusal("tour", {{"--data", input}}).find("--data"), std::string::npos) << input;
    }
    fs::remove(path_ / "deep");
    EXPECT_EQ(refusal("tour", {{"--data", folder_ / "outside"}, {"--run", ""}}), "");
}

// A list that somebody wrote must not reach other files.
TEST_F(OutputFolderTest, AListDoesNotReachOutOfItsFolder) {
    fs::create_directories(path_ / "real");
    const fs::path precious = folder_ / "precious";
    put(precious, "mine");
    put(path_ / "real/kept", "mine");
    fs::create_symlink(folder_.path(), path_ / "link");
    put(path_ / ".patchforge", "patchforge tour\nfile ../precious\nfile " + precious.string() +
                                   "\nfile link/precious\nfile real/../../precious\nfile real\n"
                                   "file \nfile real/gone\nfile torn");
    EXPECT_EQ(refusal("tour"), "");
    EXPECT_TRUE(fs::exists(precious));
    EXPECT_TRUE(fs::exists(path_ / "real/kept"));
    fs::remove(path_ / ".patchforge");
    ASSERT_EQ(::mkfifo((path_ / ".patchforge").c_str(), 0600), 0);
    EXPECT_NE(refusal("tour"), "");
}

TEST_F(OutputFolderTest, OneProcessAtATime) {
    OutputFolder out(path_, "tour", {}, Earlier::removed);
    EXPECT_NE(refusal("tour").find("another process"), std::string::npos);
}

TEST_F(OutputFolderTest, ATrailingSlashAndADotAreTheSameFolder) {
    call("tour", {"a"}, Earlier::aside);
    const fs::path before = fs::current_path();
    path_ = folder_ / "out/";
    call("tour", {"b"}, Earlier::aside);
    fs::current_path(path_);
    path_ = ".";
    call("tour", {"c"}, Earlier::aside);
    fs::current_path(before);
    EXPECT_EQ(files_in(folder_.path()), (Names{"out/c"}));
}

// What a run folder within it writes is known, too: a tour that is killed there can be run again.
TEST_F(OutputFolderTest, RunFoldersWithinAreTakenBack) {
    const pid_t child = ::fork();
    if (child == 0) {
        OutputFolder out(path_, "tour", {}, Earlier::aside);
        RunFolder run = RunFolder::create(path_ / "gan", "train gan", {{"a", true}});
        run.open_metrics({"m"});
        for (int step = 1; step < 5; ++step) {
            run.write_checkpoint(step, {{"w.safetensors", std::vector<std::byte>(9)}}, 1);
        }
        run.write_best("w.safetensors", std::vector<std::byte>(9));
        ::raise(SIGKILL);
    }
    ::waitpid(child, nullptr, 0);
    EXPECT_FALSE(files_in(path_).empty());
    OutputFolder out(path_, "tour", {}, Earlier::aside);
    EXPECT_TRUE(files_in(path_).empty());
    EXPECT_NO_THROW(RunFolder::create(path_ / "gan", "train gan", {{"a", true}}));
}

} // namespace
} // namespace patchforge
