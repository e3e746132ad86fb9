// The program from outside: exit statuses and what it says.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/host/cli/matches.h"
#include "tests/host/cli/shell.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

Outcome run(const std::string& arguments) {
    const char* program = std::getenv("PATCHFORGE_PROGRAM");
    return shell(std::string(program ? program : "build/patchforge-cpu") + ' ' + arguments);
}

TEST(Program, HelpAndVersion) {
    const Outcome version = run("--version");
    EXPECT_EQ(version.status, 0);
    EXPECT_EQ(version.text.rfind("patchforge ", 0), 0u) << version.text;
    const Outcome help = run("--help");
    EXPECT_EQ(help.status, 0);
    for (const char* verb : {"tissue", "pack", "train", "info", "doctor"}) {
        EXPECT_NE(help.text.find(verb), std::string::npos) << verb;
    }
    EXPECT_NE(run("pack --help").text.find("default skip"), std::string::npos);
}

TEST(Program, HelpIsAVerbToo) {
    EXPECT_EQ(run("help").text, run("--help").text);
    EXPECT_EQ(run("help train gan").text, run("train gan --help").text);
    EXPECT_EQ(run("help latent").text, run("latent --help").text);
    const std::string help = run("help evaluate").text;
    std::size_t at = 0; // groups one after the other, and calls to copy
    for (const char* part :
         {"Usage: patchforge evaluate", "\nOptions:\n", "--config FILE", "--without-floors",
          "\nData:\n", "--data FOLDER|FILE", "(required)", "\nDevice:\n", "--threads N",
          "(0 to 1024; default 0)", "\nExamples:\n  patchforge evaluate --run "}) {
        const std::size_t found = help.find(part, at);
        ASSERT_NE(found, std::string::npos) << part << " behind " << at << ":\n" << help;
        at = found;
    }
}

// Calls that --help shows are understood: whatever they fail at, it is not their options.
TEST(Program, ExamplesAreCalls) {
    const std::string page = run("help --markdown").text;
    int calls = 0;
    for (const std::string& words : matches(page, "\n    patchforge (.*)")) {
        if (words.starts_with("doctor") || words.starts_with("tissue")) {
            continue; // which need nothing
        }
        ++calls;
        const Outcome outcome = run(words);
        EXPECT_NE(outcome.status, 0) << words;
        EXPECT_EQ(outcome.text.find("--help"), std::string::npos) << words << ": " << outcome.text;
    }
    EXPECT_GE(calls, 30);
}

TEST(Program, WrongCallsExitWith2AndSayWhat) {
    const std::pair<const char*, const char*> calls[] = {
        {"", "--help"},
        {"bake", "bake: there is no such verb"},
        {"latnet", "did you mean latent?; see patchforge --help"},
        {"train gna", "did you mean gan?; see patchforge train --help"},
        {"train gam", "did you mean gan?; see patchforge train --help"},
        {"train gan --learning-rate-d 1", "--learning-rate-d: there is no such option"},
        {"train gan --hiden-dims=3", "--hiden-dims=3: there is no such option; did you mean "
                                     "--hidden-dims?; see patchforge train gan --help"},
        {"help tran", "did you mean train?"},
        {"help train classifer", "did you mean classifier?"},
        {"generate --run '' --out y", "--run '': is empty"},
        {"pack", "pack --help"},
        {"pack x", "--out: is required"},
        {"pack x --out y --channels 2", "--channels: '2'"},
        {"pack x --out y --odd-size stretch",
         "--odd-size: 'stretch' is not known; use one of skip, pad, resize"},
        {"pack x --out y --threads 3x", "--threads: '3x'"},
        {"train gan --data x --out y --gemm mkl",
         "--gemm: 'mkl' is not known; use one of own, cublas"},
        {"train gan --data x --out y --precision fp16",
         "--precision: 'fp16' is not known; use one of float32, tf32, bf16"},
        {"pack x --out y --threads -1", "--threads -1: out of range; give a number from 0 to 1024"},
        {"tissue x --size 99999999999999999999", "--size"},
        {"tissue x --seed 1.5", "--seed: '1.5'"},
        {"tissue x --size nan", "--size: 'nan'"},
        {"info", "path is required; see patchforge info --help"},
        {"train gan --data x --out y --steps 3 --epochs 2", "excludes"},
        {"train gan --data x --out y --minibatch-size 3", "requires --minibatch-discrimination"},
        {"train gan --data x --out y --persistent --overlap-launches", "excludes"},
        {"train classifier --data x --out y --test x --test-patients 2", "excludes"},
        {"generate --run x --out y --latents z --count 3", "excludes --latents"},
    };
    for (const auto& [arguments, part] : calls) {
        const Outcome outcome = run(arguments);
        EXPECT_EQ(outcome.status, 2) << arguments << ": " << outcome.text;
        EXPECT_EQ(outcome.text.rfind("patchforge: error: ", 0), 0u) << arguments << outcome.text;
        EXPECT_NE(outcome.text.find(part), std::string::npos) << arguments << ": " << outcome.text;
    }
}

TEST(Program, FailedJobsExitWith1) {
    const TemporaryFolder folder;
    put(folder / "broken.safetensors", "xxxxxxxxxxxxx");
    put(folder / "letter.txt", "dear");
    for (const std::string& arguments :
         {"info " + (folder / "broken.safetensors").string(), "info " + (folder / "none").string(),
          "info " + (folder / "letter.txt").string(),
          "pack " + (folder / "none").string() + " --out " + (folder / "o.pfs").string()}) {
        const Outcome outcome = run(arguments);
        EXPECT_EQ(outcome.status, 1) << arguments << ": " << outcome.text;
        EXPECT_EQ(outcome.text.rfind("patchforge: error: ", 0), 0u) << outcome.text;
        EXPECT_NE(outcome.text.find(folder.path().string()), std::string::npos) << outcome.text;
    }
    EXPECT_FALSE(std::filesystem::exists(folder / "o.pfs"));
}

TEST(Program, DrawsPacksAndDescribes) {
    const TemporaryFolder folder;
    const std::string tissue = (folder / "tissue").string();
    const std::string set = (folder / "set.pfs").string();
    Outcome outcome = run("tissue " + tissue + " --patients 3 --patches 4 --size 20 --seed 5");
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    EXPECT_NE(outcome.text.find("12 patches"), std::string::npos) << outcome.text;
    outcome = run("pack " + tissue + " --out " + set + " --threads 2");
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    EXPECT_NE(outcome.text.find("12 of 12"), std::string::npos) << outcome.text;
    outcome = run("info " + set);
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    EXPECT_NE(outcome.text.find("12"), std::string::npos) << outcome.text;
    EXPECT_EQ(run("info " + tissue).status, 0);
}

// Threads that the system does not start are an error that says so, not an abort.
TEST(Program, MoreThreadsThanMemoryIsAClearError) {
    const TemporaryFolder folder;
    const std::string tissue = (folder / "tissue").string(), out = (folder / "run").string();
    ASSERT_EQ(run("tissue " + tissue + " --patients 3 --patches 8 --size 10").status, 0);
    const char* program = std::getenv("PATCHFORGE_PROGRAM");
    const Outcome outcome =
        shell("ulimit -v 1000000; exec " + std::string(program ? program : "build/patchforge-cpu") +
              " train gan --data " + tissue +
              " --steps 1 --hidden-dim 8 --batch-size 8 --threads 1024 " + "--out " + out);
    EXPECT_EQ(outcome.status, 1) << outcome.text;
    EXPECT_NE(outcome.text.find("--threads 1024: the system starts no more than "),
              std::string::npos)
        << outcome.text;
}

// The shell takes DATA and NAME as they are, blanks, quotes and semicolons too.
TEST(Program, MakeRunTakesAnyPath) {
    const TemporaryFolder folder;
    const auto stub = folder / "patchforge";
    put(stub, "#!/bin/sh\nfor word in \"$@\"; do printf '<%s>' \"$word\"; done\n");
    std::filesystem::permissions(stub, std::filesystem::perms::owner_all);
    const std::string call =
        "unset MAKEFLAGS MFLAGS MAKELEVEL; make -s -o install-packages run MAKE=true NVCC= B=" +
        folder.path().string();
    const std::string marked = (folder / "marked").string();
    const Outcome outcome = shell(call + " DATA=\"a b;touch '" + marked + "'\" NAME=\"n;'m o\"");
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    EXPECT_NE(outcome.text.find("<tour><--data><a b;touch '" + marked + "'><--out><runs/n;'m o>"),
              std::string::npos)
        << outcome.text;
    EXPECT_FALSE(std::filesystem::exists(marked));
}

TEST(Program, DoctorWorksAnywhere) {
    const Outcome outcome = run("doctor");
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    for (const char* part :
         {"compiler", "CUDA", "driver", "GPU", "CPU", "libraries", "--device auto"}) {
        EXPECT_NE(outcome.text.find(part), std::string::npos) << part;
    }
    // Nor does it need anything in the PATH; a compiler that is not there is no fault of what runs.
    const char* program = std::getenv("PATCHFORGE_PROGRAM");
    const Outcome alone = shell(std::string("PATH=/nowhere ") +
                                (program ? program : "build/patchforge-cpu") + " doctor");
    EXPECT_EQ(alone.status, 0) << alone.text;
    EXPECT_EQ(matches(alone.text, "compiler +(no g[+][+], which only)").size(), 1u) << alone.text;
    EXPECT_EQ(alone.text.find("fix: apt-get install g++"), std::string::npos) << alone.text;
}

TEST(Program, TourReplacesToursAlone) {
    const TemporaryFolder folder;
    const std::string tissue = (folder / "tissue").string();
    ASSERT_EQ(run("tissue " + tissue + " --patients 8 --patches 10 --size 10").status, 0);
    const auto tour = [&](const std::filesystem::path& out, const std::string& more = "") {
        return run("tour --steps 3 --epochs 1 --count 20 --data " + tissue + " --out " +
                   out.string() + (more.empty() ? " --preset default" : more));
    };
    std::filesystem::create_directories(folder / "runs/gan");
    put(folder / "runs/gan/thesis.txt", "years of work");
    const Outcome refused = tour(folder / "runs");
    EXPECT_EQ(refused.status, 2);
    EXPECT_NE(refused.text.find("which `patchforge tour` did not make"), std::string::npos)
        << refused.text;
    EXPECT_TRUE(std::filesystem::exists(folder / "runs/gan/thesis.txt"));

    const auto page = folder / "tour/report.html";
    const Outcome made = tour(folder / "tour");
    ASSERT_EQ(made.status, 0) << made.text;
    ASSERT_TRUE(std::filesystem::exists(page));
    // One that fails leaves the complete one aside; one that ends takes its place.
    EXPECT_NE(tour(folder / "tour", " --preset components").status, 0);
    EXPECT_TRUE(std::filesystem::exists(folder / "tour.earlier/report.html"));
    EXPECT_EQ(tour(folder / "tour").status, 0);
    EXPECT_TRUE(std::filesystem::exists(page));
    EXPECT_FALSE(std::filesystem::exists(folder / "tour.earlier"));
}

// README's table has a row for every verb.
TEST(Documentation, ReadmeNamesEveryVerb) {
    const std::string page = run("help --markdown").text;
    const std::string readme = contents("README.md");
    const std::vector<std::string> verbs = matches(page, "\n## patchforge (.*)");
    for (const std::string& verb : verbs) {
        EXPECT_NE(readme.find('`' + verb + '`'), std::string::npos) << verb;
    }
    EXPECT_GE(verbs.size(), 18u);
}

// docs/options.md is what the program says today.
TEST(Documentation, OptionTablesAreFresh) {
    const Outcome page = run("help --markdown");
    ASSERT_EQ(page.status, 0) << page.text;
    ASSERT_GT(page.text.size(), 10000u);
    EXPECT_TRUE(page.text == contents("docs/options.md"))
        << "docs/options.md is stale: run `make option-tables`";
}

// A shell that runs it without, or with unwritable, standard streams.
TEST(Program, StandardStreamsThatAreClosedOrFull) {
    EXPECT_EQ(run("info /no/such --help > /dev/full").status, 1);
    EXPECT_EQ(run("--version > /dev/full").status, 1);
    const Outcome silent = run("info /no/such 2> /dev/full");
    EXPECT_EQ(silent.status, 1) << "not an abort";
    const TemporaryFolder folder;
    const std::string set = (folder.path() / "set.pfs").string();
    const std::string drawn = (folder.path() / "drawn").string();
    ASSERT_EQ(run("tissue " + drawn + " --patients 2 --patches 2 --size 8").status, 0);
    EXPECT_EQ(run("pack " + drawn + " --out " + set + " 2>&- >&- <&- && echo fine").status, 0);
    const Outcome told = run("info " + set);
    EXPECT_EQ(told.status, 0) << told.text;
    EXPECT_NE(told.text.find("all match"), std::string::npos) << "nothing was printed into the set";
}

} // namespace
} // namespace patchforge
