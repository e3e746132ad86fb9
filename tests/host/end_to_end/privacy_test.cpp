// `privacy` and `generate --release` as a user runs them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "data/packed_set.h"
#include "data/split.h"
#include "host/files/json_file.h"
#include "tests/host/end_to_end/program.h"
#include "tests/host/privacy/memoriser.h"

namespace patchforge {
namespace {

namespace fs = std::filesystem;
using testing::bytes_of_file;
using testing::Outcome;
using testing::ScratchFolder;
using Words = std::vector<std::string>;

Outcome call(Words words, const Words& more = {}) {
    words.insert(words.end(), more.begin(), more.end());
    return testing::patchforge(words);
}

class PrivacyRun : public ::testing::Test {
  protected:
    // 16 patients with 8 patches each, 8 of them held out: 64 patches are trained on.
    void SetUp() override {
        Outcome outcome = call({"tissue", folder_ / "tissue", "--patients", "16", "--patches", "8",
                                "--size", "10", "--seed", "3"});
        ASSERT_EQ(outcome.status, 0) << outcome.output;
        outcome = call({"pack", folder_ / "tissue", "--out", set_});
        ASSERT_EQ(outcome.status, 0) << outcome.output;
    }
    void train(const std::string& out, const Words& more) {
        const Outcome outcome =
            call({"train", "gan", "--data", set_, "--out", folder_ / out, "--steps", "20",
                  "--batch-size", "8", "--hidden-dim", "16", "--seed", "5"},
                 more);
        ASSERT_EQ(outcome.status, 0) << outcome.output;
    }
    Words privacy(const std::string& run) const {
        return {"privacy", "--run",    folder_ / run, "--data",           set_, "--fakes",
                "300",     "--device", "cpu",         "--search-patches", "20", "--search-steps",
                "5"};
    }
    Json measured(const std::string& run) const {
        return read_json(folder_ / (run + "/privacy.json"));
    }
    // Puts a generator in the run's place that gives its 64 training patches back.
    void memorise(const std::string& run) {
        const PackedSet set = PackedSet::open(set_);
        const Split split = split_by_patient(set, {.test_patients = 8, .seed = 5});
        std::vector<std::uint8_t> patches;
        for (const std::int32_t row : split.train) {
            const auto patch = set.patch(row);
            patches.insert(patches.end(), patch.begin(), patch.end());
        }
        const auto backend = make_backend("cpu");
        const TensorFile file =
            testing::memorising_generator(*backend, patches, {3, 10, 10, "", {}});
        write_safetensors(folder_ / (run + "/checkpoints/step_20/generator.safetensors"),
                          file.tensors, file.metadata);
    }

    ScratchFolder folder_{"privacy"};
    std::string set_ = folder_ / "set.pfs";
};

TEST_F(PrivacyRun, CatchesWhatMemorisedAndNothingElse) {
    train("run", {"--test-patients", "8", "--conditional"});
    Outcome outcome = call(privacy("run"), {"--tstr-epochs", "2"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_NE(outcome.output.find("No leak shown"), std::string::npos) << outcome.output;
    Json result = measured("run");
    EXPECT_FALSE(result.at("caught").boolean());
    EXPECT_EQ(result.at("members").at("patches").integer(), 64);
    EXPECT_EQ(result.at("strangers").at("patients").integer(), 8);
    EXPECT_EQ(result.at("attacks").size(), 7u); // pixels, features, search, each twice, and D
    EXPECT_TRUE(result.at("synthetic_training").contains("balanced_accuracy_difference_low"));
    const std::string page = bytes_of_file(folder_ / "run/privacy.html");
    EXPECT_NE(page.find("Train on synthetic"), std::string::npos);
    EXPECT_LT(page.find("No leak shown"), page.find("Nearest fakes"));

    train("copy", {"--test-patients", "8"});
    memorise("copy");
    outcome = call(privacy("copy"), {"--json", "--out", folder_ / "elsewhere"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    result = read_json(folder_ / "elsewhere/privacy.json");
    EXPECT_TRUE(result.at("caught").boolean());
    EXPECT_GT(result.at("copies").at("members").integer(), 50);
    EXPECT_EQ(result.at("copies").at("strangers").integer(), 0);
    for (const char* key : {"pixels_relative", "features_relative", "search_relative"}) {
        EXPECT_TRUE(result.at("attacks").at(key).at("caught").boolean()) << key;
    }
    // The discriminator, which has not memorised, tells nothing.
    EXPECT_FALSE(result.at("attacks").at("discriminator").at("caught").boolean());
    EXPECT_NE(outcome.output.find("\"caught\": true"), std::string::npos) << outcome.output;

    // The very fakes that are released.
    outcome = call({"generate", "--run", folder_ / "copy", "--release", folder_ / "release",
                    "--count", "200", "--device", "cpu"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    outcome = call(privacy("copy"), {"--generated", folder_ / "release/fakes"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_TRUE(measured("copy").at("caught").boolean());
    EXPECT_EQ(measured("copy").at("fakes").integer(), 200);
}

TEST_F(PrivacyRun, AReleaseSaysWhatWasMeasuredAndNamesNobody) {
    train("run", {"--test-patients", "8", "--conditional"});
    const Words release = {"generate", "--run", folder_ / "run", "--release", folder_ / "release",
                           "--count",  "30",    "--device",      "cpu"};
    const auto card = [&] { return read_json(folder_ / "release/data-card.json"); };
    Outcome outcome = call(release);
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_TRUE(card().at("privacy").is_null());
    EXPECT_TRUE(card().at("evaluation").empty());
    EXPECT_EQ(card().at("training").at("patients").integer(), 8);
    EXPECT_EQ(card().at("training").at("patches").integer(), 64);
    EXPECT_EQ(card().at("training").at("options").at("batch_size").integer(), 8);
    std::string text = bytes_of_file(folder_ / "release/DATA-CARD.md");
    EXPECT_NE(text.find("trained on 64 patches of 8 patients; 8 patients were held out"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("Not measured"), std::string::npos);
    EXPECT_TRUE(fs::exists(folder_ / "release/fakes/0/fake_000000.png"));

    ASSERT_EQ(call(privacy("run"), {"--tstr-epochs", "0"}).status, 0);
    ASSERT_EQ(call({"evaluate", "--run", folder_ / "run", "--data", set_, "--count", "40",
                    "--without-floors", "--device", "cpu"})
                  .status,
              0);
    outcome = call(release); // its own folder, again
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_FALSE(card().at("privacy").at("caught").boolean());
    EXPECT_FALSE(card().at("evaluation").empty());
    text = bytes_of_file(folder_ / "release/DATA-CARD.md");
    EXPECT_NE(text.find("No leak shown"), std::string::npos) << text;
    EXPECT_NE(text.find("frechet_distance"), std::string::npos) << text;
    EXPECT_EQ(text.find("Not measured"), std::string::npos) << text;

    const PackedSet set = PackedSet::open(set_);
    int files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "release")) {
        if (entry.is_regular_file()) {
            ++files;
            const std::string bytes = bytes_of_file(entry.path());
            EXPECT_EQ(bytes.find(folder_.path().string()), std::string::npos) << entry.path();
            if (entry.path().extension() != ".png") { // whose bytes may hold any digits
                for (const std::string& patient : set.patient_names()) {
                    EXPECT_EQ(bytes.find('"' + patient + '"'), std::string::npos) << entry.path();
                    EXPECT_EQ(bytes.find(' ' + patient + ' '), std::string::npos) << entry.path();
                }
            }
        }
    }
    EXPECT_EQ(files, 30 + 3); // the card twice and the folder's list

    // Of other weights nothing was measured.
    train("run2", {"--test-patients", "8"});
    fs::copy(folder_ / "run/privacy.json", folder_ / "run2/privacy.json");
    ASSERT_EQ(call({"generate", "--run", folder_ / "run2", "--release", folder_ / "other",
                    "--count", "5", "--device", "cpu"})
                  .status,
              0);
    EXPECT_NE(bytes_of_file(folder_ / "other/DATA-CARD.md").find("Not measured"),
              std::string::npos);
    EXPECT_TRUE(fs::exists(folder_ / "other/fakes/fake_000004.png"));

    // Nor of those that came into the measured ones' place, as a new best checkpoint does.
    const auto likeness = [&] {
        EXPECT_EQ(call({"generate", "--run", folder_ / "run2", "--release", folder_ / "other",
                        "--count", "5", "--device", "cpu"})
                      .status,
                  0);
        return read_json(folder_ / "other/data-card.json").at("evaluation");
    };
    ASSERT_EQ(call({"evaluate", "--run", folder_ / "run2", "--data", set_, "--count", "40",
                    "--without-floors", "--device", "cpu"})
                  .status,
              0);
    EXPECT_FALSE(likeness().empty());
    memorise("run2");
    EXPECT_TRUE(likeness().empty());
}

TEST_F(PrivacyRun, SaysWhatIsWrong) {
    train("run", {"--test-patients", "8"});
    train("all", {});
    const Outcome other = call({"tissue", folder_ / "others", "--patients", "4", "--patches", "8",
                                "--size", "10", "--seed", "9"});
    ASSERT_EQ(other.status, 0) << other.output;
    const std::string weights = folder_ / "run/checkpoints/step_20/generator.safetensors";
    struct Refusal {
        Words call;
        const char* words;
        int status;
    };
    fs::create_directories(folder_ / "taken");
    fs::copy(set_, folder_ / "taken/mine.pfs");
    const std::vector<Refusal> refusals = {
        {{"privacy", "--run", folder_ / "all", "--data", set_}, "held out no patients", 2},
        {{"privacy", "--run", folder_ / "run", "--data", folder_ / "others"},
         "is not the set that",
         2},
        {{"privacy", "--run", weights, "--data", set_},
         "is not the folder of a `train gan` run",
         2},
        {{"privacy", "--data", set_}, "--run", 2},
        {{"privacy", "--run", folder_ / "run", "--data", set_, "--features", folder_ / "nothing"},
         "nothing",
         1},
        {{"generate", "--weights", weights, "--release", folder_ / "never"}, "--release", 2},
        {{"generate", "--run", folder_ / "run", "--release", folder_ / "never", "--out",
          folder_ / "never"},
         "excludes",
         2},
        {{"generate", "--run", folder_ / "run", "--release", folder_ / "taken"}, "mine.pfs", 2},
    };
    for (const Refusal& refusal : refusals) {
        const Outcome outcome = call(refusal.call, {"--device", "cpu"});
        EXPECT_EQ(outcome.status, refusal.status) << refusal.words << ": " << outcome.output;
        EXPECT_NE(outcome.output.find(refusal.words), std::string::npos)
            << refusal.words << ": " << outcome.output;
    }
    // A class that is a patient's name.
    TensorFile named = read_safetensors(weights);
    const PackedSet set = PackedSet::open(set_);
    GeneratorFormat{3, 10, 10, "normal", {set.patient_names()[2], "x"}}.write(named);
    write_safetensors(weights, named.tensors, named.metadata);
    const Outcome outcome = call(
        {"generate", "--run", folder_ / "run", "--release", folder_ / "never", "--device", "cpu"});
    EXPECT_EQ(outcome.status, 2);
    EXPECT_NE(outcome.output.find("is named as a patient of"), std::string::npos) << outcome.output;
    EXPECT_FALSE(fs::exists(folder_ / "never"));
    EXPECT_FALSE(fs::exists(folder_ / "run/privacy.json"));
}

} // namespace
} // namespace patchforge
