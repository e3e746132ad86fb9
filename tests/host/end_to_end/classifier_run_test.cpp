// `train classifier`, `train detector` and `classify` as a user runs them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "host/run/run_folder.h"
#include "tests/host/end_to_end/program.h"

namespace patchforge {
namespace {

using testing::bytes_of_file;
using testing::Outcome;
using testing::run_program;
using testing::ScratchFolder;

std::string patches_of_six(const ScratchFolder& folder, const std::string& name = "set",
                           const std::string& size = "10") {
    const std::string tissue = folder / ("tissue-" + name);
    EXPECT_EQ(run_program("patchforge-cpu",
                          {"tissue", tissue, "--patients", "6", "--patches", "12", "--size", size})
                  .status,
              0);
    const std::string set = folder / (name + ".pfs");
    EXPECT_EQ(run_program("patchforge-cpu", {"pack", tissue, "--out", set}).status, 0);
    return set;
}

std::vector<std::string> training(const std::string& set, const std::string& out,
                                  const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {
        "train",    "classifier", "--data", set, "--out", out,    "--batch-size", "8",
        "--device", "cpu",        "--seed", "3", "--lr",  "1e-3", "--preset",     "plain"};
    if (std::find(more.begin(), more.end(), "--network") == more.end()) {
        arguments.insert(arguments.end(), {"--hidden-dims", "32,16"});
    }
    return testing::with_options(arguments, more);
}

std::string weights_of(const std::filesystem::path& run) {
    return bytes_of_file(run / "checkpoints/best/classifier.safetensors");
}

TEST(ClassifierRun, LeavesACompleteFolderThatClassifyTakes) {
    const ScratchFolder folder("classifier");
    const std::string set = patches_of_six(folder);
    const std::string run = folder / "run";
    const Outcome trained = run_program("patchforge-cpu", training(set, run, {"--epochs", "3"}));
    ASSERT_EQ(trained.status, 0) << trained.output;
    for (const char* name : {"params.json", "log.txt", "metrics.csv", "timing.json", "report.html",
                             "checkpoints/best/classifier.safetensors"}) {
        EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(run) / name)) << name;
    }
    EXPECT_NE(trained.output.find("Epoch [3/3]"), std::string::npos) << trained.output;
    const Outcome asked = run_program("patchforge-cpu", {"classify", "--model", run, set, "--csv",
                                                         folder / "answers.csv", "--show", "2"});
    ASSERT_EQ(asked.status, 0) << asked.output;
    EXPECT_NE(asked.output.find("of 72 labelled"), std::string::npos) << asked.output;
    const std::string csv = bytes_of_file(folder / "answers.csv");
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 73);
    EXPECT_EQ(csv.find("name,label,called,p(no cancer),p(cancer)\n"), 0u) << csv.substr(0, 60);
    // It may be written anew, but nothing else is replaced, whatever is asked.
    std::ofstream(folder / "mine.csv") << "a,b\n";
    for (const auto& [file, status] : {std::pair("answers.csv", 0), std::pair("mine.csv", 2)}) {
        const Outcome again = run_program(
            "patchforge-cpu", {"classify", "--model", run, set, "--csv", folder / file});
        EXPECT_EQ(again.status, status) << again.output;
    }
    EXPECT_EQ(bytes_of_file(folder / "answers.csv"), csv);
    EXPECT_EQ(bytes_of_file(folder / "mine.csv"), "a,b\n");

    // One that cannot be read costs the others nothing.
    std::string good;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "tissue-set")) {
        good = entry.path().extension() == ".png" ? entry.path().string() : good;
    }
    std::ofstream(folder / "bad.png") << "no picture";
    for (const bool first : {true, false}) {
        const Outcome both = run_program("patchforge-cpu", {"classify", "--model", run,
                                                            first ? folder / "bad.png" : good,
                                                            first ? good : folder / "bad.png"});
        EXPECT_EQ(both.status, 1) << both.output;
        EXPECT_NE(both.output.find(good + "  "), std::string::npos) << both.output;
        EXPECT_NE(both.output.find("1 of 2 not classified: " + (folder / "bad.png")),
                  std::string::npos)
            << both.output;
    }
}

// Every kind of layer that a classifier is likely to have, and a residual.
const char* const small_network =
    "3x10x10; conv 3>6 k3 p1 nobias norm=batch relu as=skip; conv 6>6 k3 p1 norm=batch; add skip "
    "relu; pool max k2; conv 6>9 k3 s2 p1 leaky_relu dropout=0.1; pool global; linear 9>2";

// Killed at any moment, resumed, and killed again: the bytes of an undisturbed run, with everything
// random in use.
void kill_and_resume(const std::string& name, const std::vector<std::string>& options) {
    const ScratchFolder folder(name);
    const std::string set = patches_of_six(folder);
    ASSERT_EQ(run_program("patchforge-cpu", training(set, folder / "whole", options)).status, 0);
    const testing::InterruptedRun killed =
        testing::run_through_kills("patchforge-cpu", training(set, folder / "killed", options),
                                   folder.path() / "killed", 8, 60);
    ASSERT_EQ(killed.last.status, 0) << killed.last.output;
    EXPECT_GE(killed.kills, 1);
    EXPECT_TRUE(bytes_of_file(folder / "whole/metrics.csv") ==
                bytes_of_file(folder / "killed/metrics.csv"));
    EXPECT_TRUE(weights_of(folder / "whole") == weights_of(folder / "killed"));
}

TEST(ClassifierRun, KilledAndResumedEndsInTheSameBytes) {
    kill_and_resume("classifier-kill", {"--adversarial-training", "pgd-2", "--logit-pairing", "0.5",
                                        "--augment", "flips", "--noise", "0.05", "--epochs", "60"});
}

TEST(ClassifierRun, ConvolutionsKilledAndResumedEndInTheSameBytes) {
    kill_and_resume("cnn-kill", {"--network",
                                 small_network,
                                 "--adversarial-training",
                                 "fgsm",
                                 "--augment",
                                 "flips",
                                 "--lr",
                                 "3e-3",
                                 "--decay-epoch",
                                 "1",
                                 "--weight-decay",
                                 "1e-4",
                                 "--epochs",
                                 "30",
                                 "--stain-jitter",
                                 "0.05",
                                 "--translation",
                                 "1",
                                 "--cutout",
                                 "3",
                                 "--ema",
                                 "0.9",
                                 "--validation-patients",
                                 "2",
                                 "--threshold",
                                 "validation"});
}

// A network of layers goes all the ways that a multilayer perceptron goes; one thread, two threads
// and a text give the same bytes, and the CUDA sources the same numbers.
TEST(ClassifierRun, ConvolutionsFromTrainingToAttack) {
    const ScratchFolder folder("cnn");
    const std::string set = patches_of_six(folder);
    const std::vector<std::string> options = {"--network", small_network, "--epochs",
                                              "4",         "--lr",        "3e-3"};
    const auto train = [&](const char* name, const char* program,
                           const std::vector<std::string>& more) {
        std::vector<std::string> all = options;
        all.insert(all.end(), more.begin(), more.end());
        const Outcome trained = run_program(program, training(set, folder / name, all));
        EXPECT_EQ(trained.status, 0) << trained.output;
        return read_metrics(folder.path() / name / "metrics.csv");
    };
    train("one", "patchforge-cpu", {"--threads", "1"});
    const Metrics two = train("two", "patchforge-cpu", {"--threads", "2"});
    EXPECT_TRUE(weights_of(folder / "one") == weights_of(folder / "two"));
    const Metrics cuda = train("cuda", "patchforge-simt", {"--device", "cuda"});
    for (std::size_t row = 0; row < two.rows.size(); ++row) {
        // Losses of a few dozen steps, whose roundings Adam turns into steps of the rate's size.
        EXPECT_FALSE(
            !(std::abs(two.column("train_loss")[row] - cuda.column("train_loss")[row]) <= 5e-3))
            << "epoch " << row + 1;
    }
    for (const char* method : {"fgsm", "pgd", "cw", "square", "worst"}) {
        const Outcome attacked = run_program(
            "patchforge-cpu", {"attack", "--model", folder / "two", "--data", set, "--method",
                               method, "--eps", "8/255", "--no-sanity", "--queries", "50"});
        EXPECT_TRUE(attacked.status == 0 || attacked.output.find("--queries") != std::string::npos)
            << method << ": " << attacked.output;
    }
    const Outcome called =
        run_program("patchforge-cpu", {"classify", "--model", folder / "two", set, "--show", "1"});
    EXPECT_EQ(called.status, 0) << called.output;
    const Outcome wrong =
        run_program("patchforge-cpu", training(set, folder / "wrong",
                                               {"--network", "3x10x10; conv 3>4 k12; pool "
                                                             "global; linear 4>2"}));
    EXPECT_EQ(wrong.status, 2);
    EXPECT_NE(wrong.output.find("error: --network: network '3x10x10; "), std::string::npos)
        << wrong.output;
    EXPECT_NE(wrong.output.find("layer 1 (conv 3>4 k12)"), std::string::npos) << wrong.output;
}

// With validation patients the epoch is theirs to choose: fewer patches train, the test patches
// stay the same, and the score that chooses is not the test patches' balanced accuracy.
TEST(ClassifierRun, ValidationPatientsChooseTheEpoch) {
    const ScratchFolder folder("classifier-validation");
    const std::string set = patches_of_six(folder);
    const auto train = [&](const std::string& name, const std::vector<std::string>& more) {
        std::vector<std::string> options = {"--epochs",        "12",      "--lr", "5e-3",
                                            "--class-weights", "balanced"};
        options.insert(options.end(), more.begin(), more.end());
        const Outcome trained =
            run_program("patchforge-cpu", training(set, folder / name, options));
        EXPECT_EQ(trained.status, 0) << trained.output;
        return trained.output;
    };
    const std::string without = train("without", {});
    EXPECT_NE(without.find("60 patches to train, 12 to test"), std::string::npos) << without;
    EXPECT_NE(without.find("on the test patches: "), std::string::npos) << without;
    const std::string with = train("with", {"--validation-patients", "2"});
    EXPECT_NE(with.find("36 patches to train, 24 to choose the best epoch, 12 to test"),
              std::string::npos)
        << with;
    EXPECT_NE(with.find("on the validation patches: "), std::string::npos) << with;

    // The best epoch is the first with the highest score, and not of the test patches' choosing.
    const Metrics metrics = read_metrics(folder / "with/metrics.csv");
    const std::vector<double> score = metrics.column("score");
    const auto best = std::max_element(score.begin(), score.end()) - score.begin();
    EXPECT_NE(with.find("(epoch " + std::to_string(best + 1) + ")"), std::string::npos) << with;
    EXPECT_NE(score, metrics.column("balanced_accuracy"));
    const Metrics plain = read_metrics(folder / "without/metrics.csv");
    EXPECT_EQ(plain.column("score"), plain.column("balanced_accuracy"));

    // The three sides for whoever attacks it.
    for (const auto& [rows, count] : {std::pair("test", "12"), std::pair("validation", "24"),
                                      std::pair("train", "36"), std::pair("auto", "12")}) {
        const Outcome attacked = run_program(
            "patchforge-cpu", {"attack", "--model", folder / "with", "--data", set, "--rows", rows,
                               "--method", "fgsm", "--eps", "1/255", "--no-sanity"});
        EXPECT_EQ(attacked.status, 0) << attacked.output;
        EXPECT_NE(attacked.output.find("Patches: " + std::string(count) + " ("), std::string::npos)
            << rows << ": " << attacked.output;
    }
    // A detector takes the split over.
    const Outcome detector = run_program(
        "patchforge-cpu", {"train", "detector", "--model", folder / "with", "--data", set,
                           "--attack", "fgsm", "--eps", "16/255", "--epochs", "1", "--hidden-dims",
                           "8", "--out", folder / "detector", "--device", "cpu"});
    EXPECT_EQ(detector.status, 0) << detector.output;
    EXPECT_NE(detector.output.find("72 patches to train, 48 to choose the best epoch, 24 to test"),
              std::string::npos)
        << detector.output;
}

// Models of different splits are compared on what both held out, and said to be; the checks of the
// evaluation look at each, or the output says why they do not.
TEST(ClassifierRun, ModelsOfOtherSplitsShareNoLeak) {
    const ScratchFolder folder("classifier-splits");
    const std::string set = patches_of_six(folder);
    const auto train = [&](const std::string& seed, const std::string& patients) {
        const std::string out = folder / ("split-" + seed);
        EXPECT_EQ(run_program("patchforge-cpu", training(set, out,
                                                         {"--epochs", "1", "--split-seed", seed,
                                                          "--test-patients", patients}))
                      .status,
                  0);
        return out;
    };
    // 5 of 6 and 3 of 6 patients: at least two in common.
    const std::string both = train("1", "5") + "," + train("2", "3");
    const auto attack = [&](const std::vector<std::string>& more) {
        std::vector<std::string> arguments = {"attack", "--models", both, "--data", set};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return run_program("patchforge-cpu", arguments);
    };
    const Outcome compared = attack({"--method", "fgsm", "--eps", "0,8/255"});
    ASSERT_EQ(compared.status, 0) << compared.output;
    EXPECT_NE(compared.output.find("each of 2 models held out"), std::string::npos)
        << compared.output;
    EXPECT_NE(compared.output.find("split-2: the attacks that ran are no weaker than PGD"),
              std::string::npos)
        << compared.output;
    const Outcome transferred =
        attack({"--method", "fgsm,pgd", "--eps", "4/255,8/255", "--transfer", "--steps", "3"});
    ASSERT_EQ(transferred.status, 0) << transferred.output;
    for (const char* words : {"fgsm linf at eps 4/255", "fgsm linf at eps 8/255",
                              "random start at eps 4/255", "left out: a transfer matrix"}) {
        EXPECT_NE(transferred.output.find(words), std::string::npos) << transferred.output;
    }
    const Outcome euclidean = attack({"--method", "pgd", "--norm", "l2", "--eps", "0.5"});
    EXPECT_NE(euclidean.output.find("left out: they know L-infinity alone"), std::string::npos)
        << euclidean.output;
}

TEST(ClassifierRun, AnEnsembleAnswersAsOne) {
    const ScratchFolder folder("ensemble");
    const std::string set = patches_of_six(folder);
    const std::string out = folder / "ensemble";
    const std::vector<std::string> arguments =
        training(set, out, {"--epochs", "2", "--ensemble", "2"});
    const Outcome trained = run_program("patchforge-cpu", arguments);
    ASSERT_EQ(trained.status, 0) << trained.output;
    EXPECT_NE(trained.output.find("2 members, mean logit"), std::string::npos) << trained.output;
    // Members are ordinary runs with seeds of their own, on the same split.
    const Outcome alone = run_program(
        "patchforge-cpu", training(set, folder / "alone", {"--epochs", "2", "--seed", "4"}));
    ASSERT_EQ(alone.status, 0) << alone.output;
    EXPECT_TRUE(weights_of(folder / "alone") == weights_of(folder / "ensemble/member_1"));
    EXPECT_FALSE(weights_of(folder / "alone") == weights_of(folder / "ensemble/member_0"));
    for (const char* verb : {"classify", "attack"}) {
        const std::vector<std::string> call =
            verb == std::string("classify")
                ? std::vector<std::string>{"classify", "--model", out, set}
                : std::vector<std::string>{"attack", "--model",  out,    "--data",
                                           set,      "--method", "fgsm", "--no-sanity"};
        const Outcome outcome = run_program("patchforge-cpu", call);
        EXPECT_EQ(outcome.status, 0) << outcome.output;
    }
    std::vector<std::string> again = arguments;
    again.push_back("--resume");
    EXPECT_EQ(run_program("patchforge-cpu", again).status, 0);
}

TEST(ClassifierRun, ADetectorStandsInFrontOfAClassifier) {
    const ScratchFolder folder("detector");
    const std::string set = patches_of_six(folder);
    ASSERT_EQ(
        run_program("patchforge-cpu", training(set, folder / "run", {"--epochs", "2"})).status, 0);
    const Outcome trained = run_program(
        "patchforge-cpu", {"train", "detector", "--model", folder / "run", "--data", set,
                           "--attack", "fgsm", "--eps", "16/255", "--epochs", "2", "--hidden-dims",
                           "16", "--out", folder / "detector", "--device", "cpu"});
    ASSERT_EQ(trained.status, 0) << trained.output;
    const Outcome attacked = run_program(
        "patchforge-cpu", {"attack", "--model", folder / "run", "--detector", folder / "detector",
                           "--data", set, "--method", "fgsm", "--eps", "8/255", "--no-sanity"});
    EXPECT_EQ(attacked.status, 0) << attacked.output;
    EXPECT_NE(attacked.output.find("joint"), std::string::npos) << attacked.output;
}

TEST(ClassifierRun, ASavedAdversarialSetIsTrainedOn) {
    const ScratchFolder folder("offline");
    const std::string set = patches_of_six(folder);
    ASSERT_EQ(
        run_program("patchforge-cpu", training(set, folder / "run", {"--epochs", "2"})).status, 0);
    const Outcome attacked =
        run_program("patchforge-cpu", {"attack", "--model", folder / "run", "--data", set, "--rows",
                                       "train", "--method", "fgsm", "--eps", "8/255", "--save",
                                       "--out", folder / "saved", "--no-sanity"});
    ASSERT_EQ(attacked.status, 0) << attacked.output;
    std::string images;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "saved")) {
        if (entry.is_directory() && std::filesystem::exists(entry.path() / "0")) {
            images = entry.path().string();
        }
    }
    ASSERT_FALSE(images.empty());
    const Outcome trained =
        run_program("patchforge-cpu",
                    training(set, folder / "defended", {"--epochs", "1", "--extra-data", images}));
    ASSERT_EQ(trained.status, 0) << trained.output;
    const Outcome plain =
        run_program("patchforge-cpu", training(set, folder / "plain", {"--epochs", "1"}));
    const auto patches_to_train = [](const std::string& output) {
        const std::size_t at = output.find("Data: ");
        return at == std::string::npos ? 0 : std::stoi(output.substr(at + 6));
    };
    EXPECT_GT(patches_to_train(plain.output), 0);
    EXPECT_EQ(patches_to_train(trained.output), 2 * patches_to_train(plain.output));
}

// Bounded gradients hardly ever make a classifier overflow, so the last layer's 32 weights become
// about 3e38 by hand: the last numbers of a checkpoint.
TEST(ClassifierRun, StopsWhereTheLossIsNotFinite) {
    const ScratchFolder folder("classifier-nan");
    const std::string set = patches_of_six(folder);
    ASSERT_EQ(
        run_program("patchforge-cpu", training(set, folder / "run", {"--epochs", "1"})).status, 0);
    std::filesystem::path weights;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "run/checkpoints")) {
        if (entry.path().filename().string().starts_with("step_")) {
            weights = entry.path() / "classifier.safetensors";
        }
    }
    std::string bytes = bytes_of_file(weights);
    ASSERT_GT(bytes.size(), 128u);
    bytes.replace(bytes.size() - 128, 128, std::string(128, '\x7F'));
    bytes.replace(bytes.find("crc32"), 5, "other"); // as if they had been trained
    std::ofstream(weights, std::ios::binary) << bytes;
    const Outcome outcome =
        run_program("patchforge-cpu", training(set, folder / "run", {"--epochs", "5", "--resume"}));
    EXPECT_EQ(outcome.status, 1) << outcome.output;
    EXPECT_NE(outcome.output.find("step 9: loss is not finite"), std::string::npos)
        << outcome.output;
    EXPECT_EQ(outcome.output.find("Epoch [3/5]"), std::string::npos) << outcome.output;
}

struct WrongUse {
    const char* name;
    std::vector<std::string> arguments;
    const char* words; // that the message must hold
};

TEST(ClassifierRun, RefusesWhatCannotWork) {
    const ScratchFolder folder("classifier-refusals");
    const std::string set = patches_of_six(folder);
    const std::string larger = patches_of_six(folder, "larger", "12");
    const std::string run = folder / "run";
    ASSERT_EQ(run_program("patchforge-cpu", training(set, run, {"--epochs", "1"})).status, 0);
    const std::string out = folder / "never";
    const std::vector<WrongUse> refusals = {
        {"attack", training(set, out, {"--adversarial-training", "pgd"}),
         "--adversarial-training pgd"},
        {"pairing", training(set, out, {"--logit-pairing", "1"}),
         "--logit-pairing requires --adversarial-training"},
        {"budget", training(set, out, {"--adv-eps", "300/255"}), "--adv-eps"},
        {"test set", training(set, out, {"--test", larger}), "--test"},
        {"extra set", training(set, out, {"--extra-data", larger}), "--extra-data"},
        {"patients", training(set, out, {"--test-patients", "6"}), "6 patients"},
        {"validation patients", training(set, out, {"--validation-patients", "5"}),
         "--validation-patients 5"},
        {"folder in use", training(set, run, {}), "--resume"},
        {"ensemble over a run", training(set, run, {"--ensemble", "2"}),
         "is a run of one classifier"},
        {"other options", training(set, run, {"--epochs", "1", "--noise", "0.1", "--resume"}),
         "noise: 0 -> 0.1"},
        {"no data", training(folder / "nothing", out, {}), "nothing"},
        {"picture size", {"classify", "--model", run, larger}, "3x12x12"},
        {"no model", {"classify", "--model", folder / "nothing", set}, "nothing"},
        {"detector's size",
         {"train", "detector", "--model", run, "--data", larger, "--out", out},
         "3x12x12"},
        {"detector's attack",
         {"train", "detector", "--model", run, "--data", set, "--out", out, "--attack", "square"},
         "--attack"},
    };
    for (const WrongUse& refusal : refusals) {
        const Outcome outcome = run_program("patchforge-cpu", refusal.arguments);
        EXPECT_TRUE(outcome.status == 1 || outcome.status == 2)
            << refusal.name << ": " << outcome.output;
        EXPECT_NE(outcome.output.find("patchforge: error: "), std::string::npos) << refusal.name;
        EXPECT_NE(outcome.output.find(refusal.words), std::string::npos)
            << refusal.name << ": " << outcome.output;
        EXPECT_FALSE(std::filesystem::exists(out)) << refusal.name;
    }
}

} // namespace
} // namespace patchforge
