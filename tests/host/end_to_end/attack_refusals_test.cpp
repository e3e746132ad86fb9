// What `attack` refuses, as a user meets it: exit status, words, and nothing left behind.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

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
    const std::string out = folder / "never";
    const auto call = [&](const std::vector<std::string>& options) {
        std::vector<std::string> arguments = {
            "attack",   "--model", run,     "--data", data,          "--rows",   "all",
            "--method", "fgsm",    "--eps", "8/255",  "--no-sanity", "--device", "cpu"};
        for (std::size_t i = 0; i < options.size(); i += 2) {
            const auto found = std::find(arguments.begin(), arguments.end(), options[i]);
            if (found != arguments.end()) {
                *(found + 1) = options[i + 1];
            } else {
                arguments.insert(arguments.end(), {options[i], options[i + 1]});
            }
        }
        return run_program("patchforge-cpu", arguments);
    };
    const Outcome fine = call({});
    ASSERT_EQ(fine.status, 0) << fine.output;
    const std::vector<Refusal> refusals = {
        {"size of the data", {"--data", larger}, "give data of the model's size", 2},
        {"number of classes", {"--data", three}, "has 3 classes", 2},
        {"budget above the box", {"--eps", "300/255"}, "give at most 1", 2},
        {"budget below 0", {"--eps", "-0.1"}, "--eps", 2},
        {"budget that is no number", {"--eps", "large"}, "--eps", 2},
        {"no such detector", {"--detector", folder / "nothing"}, "nothing", 1},
        {"detector of other pictures", {"--detector", folder / "larger-run"}, "--detector", 2},
        {"detector and black box", {"--detector", run, "--method", "square"}, "--detector", 2},
        {"no such model", {"--model", folder / "nothing"}, "nothing", 1},
        {"no such target", {"--target", "2"}, "--target 2", 2},
        {"no such method", {"--method", "deepfool"}, "--method deepfool", 2},
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

} // namespace
} // namespace patchforge
