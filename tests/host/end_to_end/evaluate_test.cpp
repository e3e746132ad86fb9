// `evaluate` as a user runs it: on pictures and on runs; and what is made of a conditional GAN.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "host/files/json_file.h"
#include "tests/host/end_to_end/program.h"

namespace patchforge {
namespace {

using testing::bytes_of_file;
using testing::Outcome;
using testing::patchforge;
using testing::ScratchFolder;

// A folder of patches in the layout of the real ones: 4 patients, two classes.
std::string tissue(const ScratchFolder& folder, const std::string& name, const std::string& seed,
                   const std::string& patches = "16", const std::string& size = "10") {
    const Outcome drawn = patchforge({"tissue", folder / name, "--patients", "4", "--patches",
                                      patches, "--size", size, "--seed", seed});
    EXPECT_EQ(drawn.status, 0) << drawn.output;
    return folder / name;
}

std::vector<Json> lines_of(const std::filesystem::path& file) {
    std::vector<Json> lines;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        lines.push_back(Json::parse(line));
    }
    return lines;
}

TEST(Evaluate, ComparesTwoFoldersOfPictures) {
    const ScratchFolder folder("evaluate");
    const std::string real = tissue(folder, "real", "1"), fakes = tissue(folder, "fakes", "2");
    const std::filesystem::path out = folder / "out";
    const std::vector<std::string> call = {"evaluate", "--generated",     fakes,        "--data",
                                           real,       "--out",           out.string(), "--seed",
                                           "7",        "--device",        "cpu",        "--count",
                                           "40",       "--test-patients", "1"};
    for (std::size_t times = 1; times <= 2; ++times) {
        const Outcome outcome = patchforge(call);
        ASSERT_EQ(outcome.status, 0) << outcome.output;
        EXPECT_NE(outcome.output.find("40 generated against 40 real"), std::string::npos)
            << outcome.output;
        const auto frechet = lines_of(out / "metric-frechet_distance.jsonl");
        ASSERT_EQ(frechet.size(), times); // the random network; components need more patches
        EXPECT_NE(outcome.output.find("Principal components of the pixels are left out"),
                  std::string::npos)
            << outcome.output;
        for (const auto& line : frechet) {
            EXPECT_EQ(line.at("seed").integer(), 7);
            EXPECT_EQ(line.at("n_generated").integer(), 40);
            EXPECT_EQ(line.at("n_reference").integer(), 40);
            EXPECT_EQ(line.at("generated").string(), fakes);
            EXPECT_FALSE(line.at("extractor").at("hash").string().empty());
            EXPECT_TRUE(line.at("results").contains("frechet_distance_infinity_r_squared"));
        }
        EXPECT_EQ(lines_of(out / "metric-memorisation.jsonl").size(), times);
    }
    std::set<std::string> compared, classes;
    for (const auto& line : lines_of(out / "metric-frechet_distance-compared.jsonl")) {
        compared.insert(line.at("compared").string());
    }
    EXPECT_EQ(compared, (std::set<std::string>{"noise", "other class", "real half"}));
    EXPECT_FALSE(std::filesystem::exists(out / "metric-inception_score.jsonl")); // no classifier
    EXPECT_NE(bytes_of_file(out / "evaluation.html").find("How good are the fakes?"),
              std::string::npos);
}

// Measuring takes minutes.
TEST(Evaluate, SaysBeforeItMeasuresWhatCannotBeWritten) {
    const ScratchFolder folder("unwritable");
    const std::string real = tissue(folder, "real", "1");
    std::ofstream(folder / "file") << "no folder";
    const Outcome outcome = patchforge({"evaluate", "--generated", real, "--data", real, "--out",
                                        folder / "file/out", "--device", "cpu"});
    EXPECT_EQ(outcome.status, 1) << outcome.output;
    EXPECT_NE(outcome.output.find("file/out: "), std::string::npos) << outcome.output;
    EXPECT_EQ(outcome.output.find("generated against"), std::string::npos) << outcome.output;
}

TEST(Evaluate, SaysWhatIsWrong) {
    const ScratchFolder folder("evaluate-refusals");
    const std::string real = tissue(folder, "real", "1"), fakes = tissue(folder, "fakes", "2");
    const std::string few = tissue(folder, "few", "2", "4");
    const std::string large = tissue(folder, "large", "2", "16", "12");
    const std::string out = folder / "never";
    struct Refusal {
        std::vector<std::string> options;
        const char* words;
        int status;
    };
    const std::vector<Refusal> refusals = {
        {{"--generated", few, "--out", out}, "give at least 20 of each", 2},
        {{"--generated", fakes, "--out", out, "--count", "19"}, "--count", 2},
        {{"--generated", large, "--out", out}, "compare images of one size", 1},
        {{"--generated", fakes, "--out", out, "--features", folder / "nothing"}, "nothing", 1},
        {{"--generated", fakes, "--run", folder / "run", "--out", out}, "excludes", 2},
        {{"--out", out}, "give one of them", 2},
        {{"--generated", fakes}, "--out: missing", 2},
        {{"--run", folder / "nothing", "--out", out}, "nothing", 1},
        {{"--generated", fakes, "--out", out, "--tstr"}, "give --test-patients", 2},
        {{"--generated", fakes, "--out", out, "--checkpoint", "first"}, "--checkpoint", 2},
    };
    for (const Refusal& refusal : refusals) {
        std::vector<std::string> call = {"evaluate", "--data", real, "--device", "cpu"};
        call.insert(call.end(), refusal.options.begin(), refusal.options.end());
        const Outcome outcome = patchforge(call);
        EXPECT_EQ(outcome.status, refusal.status) << refusal.words << ": " << outcome.output;
        EXPECT_NE(outcome.output.find("patchforge: error: "), std::string::npos) << refusal.words;
        EXPECT_NE(outcome.output.find(refusal.words), std::string::npos)
            << refusal.words << ": " << outcome.output;
        EXPECT_FALSE(std::filesystem::exists(out)) << refusal.words;
    }
}

// A conditional run through every verb that takes it: its best checkpoint, fakes by class, labels
// read back, classes apart, a classifier taught by fakes.
TEST(ConditionalGan, IsTakenByClassEverywhere) {
    const ScratchFolder folder("conditional");
    const std::string real = tissue(folder, "real", "1", "24");
    const std::string run = folder / "run";
    const Outcome trained = patchforge({"train",
                                        "gan",
                                        "--data",
                                        real,
                                        "--out",
                                        run,
                                        "--conditional",
                                        "--steps",
                                        "30",
                                        "--batch-size",
                                        "8",
                                        "--hidden-dim",
                                        "16",
                                        "--log-interval",
                                        "10",
                                        "--eval-interval",
                                        "8",
                                        "--eval-count",
                                        "30",
                                        "--ema",
                                        "0.5",
                                        "--test-patients",
                                        "1",
                                        "--device",
                                        "cpu"});
    ASSERT_EQ(trained.status, 0) << trained.output;
    EXPECT_NE(trained.output.find("24 held-out patches (best)"), std::string::npos)
        << trained.output;
    const auto measured = lines_of(run + "/metric-frechet_distance.jsonl");
    ASSERT_EQ(measured.size(), 4u); // 8, 16, 24 and the end
    const auto least = std::ranges::min_element(measured, {}, [](const Json& line) {
        return line.at("results").at("frechet_distance").number();
    });
    EXPECT_NE(bytes_of_file(run + "/report.html").find("Evaluation during training"),
              std::string::npos);

    const std::string best = run + "/checkpoints/best/generator_ema.safetensors";
    ASSERT_TRUE(std::filesystem::exists(best));
    if (least->at("step").integer() == 30) {
        EXPECT_EQ(bytes_of_file(best),
                  bytes_of_file(run + "/checkpoints/step_30/generator_ema.safetensors"));
    } else {
        EXPECT_NE(bytes_of_file(best),
                  bytes_of_file(run + "/checkpoints/step_30/generator_ema.safetensors"));
    }

    const std::string fakes = folder / "fakes";
    Outcome outcome = patchforge({"generate", "--run", run, "--checkpoint", "best", "--class",
                                  "all", "--count", "60", "--out", fakes, "--device", "cpu"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_NE(outcome.output.find("checkpoints/best"), std::string::npos) << outcome.output;
    for (const char* of_class : {"/0", "/1"}) {
        EXPECT_EQ(std::distance(std::filesystem::directory_iterator(fakes + of_class), {}), 30);
    }
    outcome = patchforge({"pack", fakes, "--out", folder / "fakes.pfs"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    outcome = patchforge({"info", folder / "fakes.pfs"});
    EXPECT_NE(outcome.output.find("0 30, 1 30"), std::string::npos) << outcome.output;
    // One class alone, the same pictures as in both.
    outcome = patchforge({"generate", "--run", run, "--checkpoint", "best", "--class", "cancer",
                          "--count", "2", "--out", folder / "one", "--device", "cpu"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_FALSE(std::filesystem::exists(folder / "one/0"));
    EXPECT_EQ(bytes_of_file(folder / "one/1/fake_000001.png"),
              bytes_of_file(fakes + "/1/fake_000001.png"));

    // They are labelled data for a classifier, beside real patches.
    outcome = patchforge({"train", "classifier", "--data", real, "--extra-data", fakes, "--out",
                          folder / "c", "--epochs", "2", "--hidden-dims", "8", "--test-patients",
                          "1", "--device", "cpu"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_NE(outcome.output.find("132 patches to train"), std::string::npos) << outcome.output;

    for (const bool from_run : {true, false}) {
        const std::string out = folder / (from_run ? "of-run" : "of-folder");
        outcome = patchforge({"evaluate", from_run ? "--run" : "--generated",
                              from_run ? run : fakes, "--data", real, "--features", folder / "c",
                              "--test-patients", "1", "--count", "60", "--without-floors", "--tstr",
                              "--tstr-epochs", "2", "--out", out, "--device", "cpu"});
        ASSERT_EQ(outcome.status, 0) << outcome.output;
        EXPECT_NE(outcome.output.find("warning: --features"), std::string::npos) << outcome.output;
        std::set<std::string> classes;
        for (const auto& line : lines_of(out + "/metric-frechet_distance-classes.jsonl")) {
            classes.insert(line.at("class").string());
        }
        EXPECT_EQ(classes, (std::set<std::string>{"cancer", "no cancer"}));
        const auto taught = lines_of(out + "/metric-tstr.jsonl");
        ASSERT_EQ(taught.size(), 1u);
        EXPECT_EQ(taught[0].at("results").at("majority_balanced_accuracy").number(), 0.5);
        EXPECT_EQ(taught[0].at("n_reference").integer(), 24);
        EXPECT_EQ(lines_of(out + "/metric-inception_score.jsonl").size(), 1u);
        EXPECT_NE(bytes_of_file(out + "/evaluation.html").find("Train on synthetic"),
                  std::string::npos);
    }

    outcome =
        patchforge({"evade", "--generator", run, "--checkpoint", "best", "--models", folder / "c",
                    "--count", "21", "--out", folder / "evade", "--device", "cpu"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    std::map<std::string, std::int64_t> counts;
    const Json evasion = read_json(folder / "evade/evasion.json");
    for (const Json& row : evasion.items()) {
        counts[row.at("patches").string()] = row.at("count").integer();
    }
    EXPECT_EQ(counts["fakes"], 21);
    EXPECT_EQ(counts["fakes: no cancer"], 11);
    EXPECT_EQ(counts["fakes: cancer"], 10);

    for (const auto& [arguments, words] :
         std::vector<std::pair<std::vector<std::string>, const char*>>{
             {{"generate", "--run", run, "--class", "dog"}, "use all or one of no cancer, cancer"},
             {{"generate", "--weights", best, "--checkpoint", "best"}, "requires --run"},
             {{"generate", "--run", run, "--class", "cancer", "--latents",
               run + "/latents.safetensors"},
              "use --class all"},
         }) {
        std::vector<std::string> call = arguments;
        call.insert(call.end(), {"--out", folder / "never", "--device", "cpu"});
        outcome = patchforge(call);
        EXPECT_EQ(outcome.status, 2) << outcome.output;
        EXPECT_NE(outcome.output.find(words), std::string::npos) << outcome.output;
    }
    outcome = patchforge({"latent", "interpolate", "--run", run, "--checkpoint", "best", "--rows",
                          "2", "--steps", "3", "--out", folder / "l.png", "--device", "cpu"});
    EXPECT_EQ(outcome.status, 0) << outcome.output;
}

TEST(Evaluate, TakesTheSplitOfTheRun) {
    const ScratchFolder folder("evaluate-split");
    const std::string set = tissue(folder, "set", "1"), run = folder / "gan";
    Outcome outcome = patchforge({"train", "gan", "--data", set, "--out", run, "--steps", "5",
                                  "--hidden-dim", "8", "--test-patients", "1", "--seed", "3"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    const auto evaluate = [&](const std::vector<std::string>& more) {
        std::vector<std::string> call = {"evaluate", "--run", run, "--data", set, "--count", "40"};
        call.insert(call.end(), more.begin(), more.end());
        return patchforge(call);
    };
    outcome = evaluate({});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_NE(outcome.output.find("Memorisation"), std::string::npos) << outcome.output;
    EXPECT_EQ(
        lines_of(run + "/metric-memorisation.jsonl").at(0).at("results").at("n_held_out").number(),
        16);
    outcome = evaluate({"--test-patients", "2"}); // one of them was trained on
    EXPECT_EQ(outcome.status, 2);
    EXPECT_NE(outcome.output.find("held out 1 patients by seed 3"), std::string::npos)
        << outcome.output;
    EXPECT_EQ(evaluate({"--test-patients", "1", "--split-seed", "3"}).status, 0);
    const Outcome weights =
        patchforge({"evaluate", "--run", run + "/checkpoints/step_5/generator.safetensors",
                    "--data", set, "--count", "40"});
    EXPECT_EQ(weights.status, 2);
    EXPECT_NE(weights.output.find("--out: missing"), std::string::npos) << weights.output;
}

} // namespace
} // namespace patchforge
