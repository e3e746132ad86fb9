// What `attack` refuses, as a user meets it: exit status, words, and nothing left behind.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/host/end_to_end/program.h"

namespace patchforge {
namespace {

using testing::Outcome;
using testing::run_program;
using testing::ScratchFolder;

struct Refusal {
    const char* name;
    std::vector<std::string> options; // take the place of the same ones of a call that works
    const char* words;                // that the message must hold
    int status;
};

// Patches of two classes as a folder: <size> x <size> pixels.
std::string patches(const ScratchFolder& folder, const std::string& size) {
    const std::string tissue = folder / ("tissue-" + size);
    EXPECT_EQ(run_program("patchforge-cpu",
                          {"tissue", tissue, "--patients", "4", "--patches", "8", "--size", size})
                  .status,
              0);
    return tissue;
}

// Three class folders of pictures taken from `tissue`.
std::string three_classes(const ScratchFolder& folder, const std::string& tissue) {
    const std::filesystem::path out = folder / "three";
    int number = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(tissue)) {
        if (entry.path().extension() == ".png" && number < 9) {
            const std::filesystem::path to = out / std::to_string(number % 3);
            std::filesystem::create_directories(to);
            std::filesystem::copy(entry.path(), to / (std::to_string(number) + ".png"));
            ++number;
        }
    }
    EXPECT_EQ(number, 9);
    return out.string();
}

TEST(AttackRefusals, SayWhatIsWrong) {
    const ScratchFolder folder("attack-refusals");
    const std::string data = patches(folder, "10");
    const std::string larger = patches(folder, "12");
    const std::string three = three_classes(folder, data);
    const std::string run = folder / "run";
    const auto train = [&](const std::string& on, const std::string& out) {
        const Outcome trained = run_program(
            "patchforge-cpu", {"train", "classifier", "--data", on, "--out", out, "--epochs", "1",
                               "--batch-size", "8", "--hidden-dims", "8", "--device", "cpu"});
        ASSERT_EQ(trained.status, 0) << trained.output;
    };
    train(data, run);
    train(larger, folder / "larger-run");
    const std::string weights = run + "/checkpoints/best/classifier.safetensors";
    const std::string out = folder / "never";
    const auto call = [&](const std::vector<std::string>& options) {
        const std::vector<std::string> arguments = {
            "attack",   "--model", run,     "--data", data,          "--rows",   "all",
            "--method", "fgsm",    "--eps", "8/255",  "--no-sanity", "--device", "cpu"};
        return run_program("patchforge-cpu", testing::with_options(arguments, options));
    };
    const Outcome fine = call({});
    ASSERT_EQ(fine.status, 0) << fine.output;
    const std::vector<Refusal> refusals = {
        {"size of the data", {"--data", larger}, "give data of the model's size", 2},
        {"number of classes",
         {"--data", three},
         "its class '2' (3 patches) is none of those of",
         2},
        {"budget above the box", {"--eps", "300/255"}, "give at most 1", 2},
        {"budget below 0", {"--eps", "-0.1"}, "--eps", 2},
        {"budget that is no number", {"--eps", "large"}, "--eps", 2},
        {"no such detector", {"--detector", folder / "nothing"}, "nothing", 1},
        {"detector of other pictures", {"--detector", folder / "larger-run"}, "--detector", 2},
        {"another method's option", {"--restarts", "3"}, "--restarts: belongs to pgd", 2},
        {"a loss of forge", {"--loss", "l1"}, "--loss l1", 2},
        {"a method twice", {"--method", "fgsm,fgsm"}, "--method", 2},
        {"nobody's validation", {"--rows", "validation", "--model", weights}, "--rows", 2},
        {"no such model", {"--model", folder / "nothing"}, "nothing", 1},
        {"no such target", {"--target", "2"}, "--target 2", 2},
        {"no such method", {"--method", "boundary"}, "--method boundary: is not known", 2},
    };
    for (const Refusal& refusal : refusals) {
        std::vector<std::string> options = refusal.options;
        options.insert(options.end(), {"--out", out});
        const Outcome outcome = call(options);
        EXPECT_EQ(outcome.status, refusal.status) << refusal.name << ": " << outcome.output;
        EXPECT_NE(outcome.output.find("patchforge: error: "), std::string::npos) << refusal.name;
        EXPECT_NE(outcome.output.find(refusal.words), std::string::npos)
            << refusal.name << ": " << outcome.output;
        EXPECT_FALSE(std::filesystem::exists(out)) << refusal.name;
    }
}

// --out names a folder that holds something else: refused before any work, and nothing in it
// changes.
TEST(AttackRefusals, LeaveOtherFoldersAlone) {
    const ScratchFolder folder("attack-folders");
    const std::string data = patches(folder, "10");
    const std::string run = folder / "run";
    ASSERT_EQ(run_program("patchforge-cpu",
                          {"train", "classifier", "--data", data, "--out", run, "--epochs", "1",
                           "--batch-size", "8", "--hidden-dims", "8", "--device", "cpu"})
                  .status,
              0);
    const std::string before = testing::bytes_of_file(run + "/report.html");
    const auto attack = [&](const std::string& out, const std::vector<std::string>& more) {
        std::vector<std::string> arguments = {
            "attack", "--model", run,           "--data",   data,  "--method", "fgsm",
            "--eps",  "8/255",   "--no-sanity", "--device", "cpu", "--out",    out};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return run_program("patchforge-cpu", arguments);
    };
    const Outcome into_run = attack(run, {});
    EXPECT_EQ(into_run.status, 2) << into_run.output;
    EXPECT_NE(into_run.output.find("the folder of a training run"), std::string::npos);
    EXPECT_TRUE(testing::bytes_of_file(run + "/report.html") == before);
    ASSERT_EQ(attack(folder / "out", {"--save"}).status, 0);
    EXPECT_EQ(attack(folder / "out", {"--save"}).status, 0) << "its own pictures are replaced";
    std::ofstream(folder / "out/adversarial/fgsm_8-255/mine.png") << "mine";
    const Outcome again = attack(folder / "out", {"--save"});
    EXPECT_EQ(again.status, 2) << again.output;
    EXPECT_NE(again.output.find("holds files that no earlier call made"), std::string::npos)
        << again.output;
    EXPECT_EQ(again.output.find("Device:"), std::string::npos) << "after the work";
    EXPECT_EQ(attack(folder / "out", {}).status, 0) << "its own report may be written again";
}

TEST(EvadeRefusals, SayWhatIsWrong) {
    const ScratchFolder folder("evade-refusals");
    const std::string data = patches(folder, "10");
    const std::string larger = patches(folder, "12");
    const std::string three = three_classes(folder, data);
    const auto train = [&](const std::string& on, const std::string& out,
                           const std::vector<std::string>& more = {}) {
        std::vector<std::string> arguments = {
            "train",        "classifier", "--data",        on,  "--out",    out,  "--epochs", "1",
            "--batch-size", "8",          "--hidden-dims", "8", "--device", "cpu"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        const Outcome trained = run_program("patchforge-cpu", arguments);
        ASSERT_EQ(trained.status, 0) << trained.output;
    };
    train(data, folder / "two");
    train(data, folder / "pair", {"--ensemble", "2"});
    train(three, folder / "three-run", {"--test-patients", "0.34"});
    train(larger, folder / "larger-run");
    const Outcome gan =
        run_program("patchforge-cpu", {"train", "gan", "--data", data, "--out", folder / "gan",
                                       "--steps", "2", "--batch-size", "8", "--device", "cpu"});
    ASSERT_EQ(gan.status, 0) << gan.output;
    const auto call = [&](const std::vector<std::string>& options) {
        const std::vector<std::string> arguments = {"evade",    "--generator",  folder / "gan",
                                                    "--models", folder / "two", "--count",
                                                    "6",        "--device",     "cpu"};
        return run_program("patchforge-cpu", testing::with_options(arguments, options));
    };
    const std::string both = (folder / "two") + "," + (folder / "pair");
    const Outcome fine = call({"--models", both, "--detector", folder / "two", "--data", data,
                               "--search", "target=1", "--against", folder / "pair",
                               "--search-count", "2", "--search-steps", "2"});
    ASSERT_EQ(fine.status, 0) << fine.output;
    const std::string out = folder / "never";
    const std::vector<Refusal> refusals = {
        {"other classes",
         {"--models", (folder / "two") + "," + (folder / "three-run")},
         "models of the same classes",
         2},
        {"detector of three classes", {"--detector", folder / "three-run"}, "--detector", 2},
        {"detector of other pictures", {"--detector", folder / "larger-run"}, "--detector", 2},
        {"model of other pictures", {"--models", folder / "larger-run"}, "--models", 2},
        {"data of other pictures", {"--data", larger}, "--data", 2},
        {"data of other classes", {"--data", three}, "--data", 2},
        {"against without a search", {"--against", folder / "two"}, "--against", 2},
        {"steps without a search", {"--search-steps", "3"}, "--search", 2},
        {"a model twice", {"--models", (folder / "two") + "," + (folder / "two")}, "--models", 2},
    };
    for (const Refusal& refusal : refusals) {
        std::vector<std::string> options = refusal.options;
        options.insert(options.end(), {"--out", out});
        const Outcome outcome = call(options);
        EXPECT_EQ(outcome.status, refusal.status) << refusal.name << ": " << outcome.output;
        EXPECT_NE(outcome.output.find(refusal.words), std::string::npos)
            << refusal.name << ": " << outcome.output;
        EXPECT_FALSE(std::filesystem::exists(out)) << refusal.name;
    }
    const Outcome into_run = call({"--out", folder / "gan"});
    EXPECT_EQ(into_run.status, 2) << into_run.output;
}

} // namespace
} // namespace patchforge
