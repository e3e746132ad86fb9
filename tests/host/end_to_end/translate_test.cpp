// `train translate` and `translate` as a user runs them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "data/picture.h"
#include "data/png.h"
#include "host/files/json_file.h"
#include "tests/host/end_to_end/program.h"

namespace patchforge {
namespace {

using testing::bytes_of_file;
using testing::Outcome;
using testing::run_program;
using testing::ScratchFolder;
using testing::with_options;

std::string patches(const ScratchFolder& folder, const std::string& size) {
    const Outcome made = run_program("patchforge-cpu", {"tissue", folder / "tissue", "--patients",
                                                        "6", "--patches", "6", "--size", size});
    EXPECT_EQ(made.status, 0) << made.output;
    const Outcome packed =
        run_program("patchforge-cpu", {"pack", folder / "tissue", "--out", folder / "set.pfs"});
    EXPECT_EQ(packed.status, 0) << packed.output;
    return folder / "set.pfs";
}

std::vector<std::string> training(const std::string& set, const std::string& out,
                                  const std::string& preset, const std::string& steps) {
    return {"train",
            "translate",
            "--data",
            set,
            "--out",
            out,
            "--preset",
            preset,
            "--steps",
            steps,
            "--batch-size",
            "4",
            "--width",
            "4",
            "--blocks",
            "2",
            "--width-d",
            "4",
            "--layers-d",
            "1",
            "--test-patients",
            "2",
            "--log-interval",
            "7",
            "--sample-interval",
            "20",
            "--checkpoint-interval",
            "6",
            "--seed",
            "5",
            "--threads",
            "2"};
}

// What must not depend on interruptions.
std::string result_of(const std::filesystem::path& run, const std::string& steps) {
    std::string all = bytes_of_file(run / "metrics.csv") + bytes_of_file(run / "results.json");
    std::map<std::string, std::string> files;
    for (const auto* folder : {"images", "checkpoints"}) {
        EXPECT_TRUE(std::filesystem::exists(run / folder));
    }
    for (const auto& entry :
         std::filesystem::directory_iterator(run / "checkpoints" / ("step_" + steps))) {
        const std::string name = entry.path().filename().string();
        if (name.ends_with(".safetensors")) {
            files[name] = bytes_of_file(entry.path());
        }
    }
    for (const auto& entry : std::filesystem::directory_iterator(run / "images")) {
        files[entry.path().filename().string()] = bytes_of_file(entry.path());
    }
    for (const auto& [name, bytes] : files) {
        all += name + std::to_string(std::hash<std::string>{}(bytes));
    }
    return all;
}

class TranslateRun : public ::testing::TestWithParam<const char*> {};

TEST_P(TranslateRun, KilledAndResumedEndsInTheSameBytes) {
    const ScratchFolder folder(std::string("translate-") + GetParam());
    const std::string set = patches(folder, "20");
    const auto arguments = [&](const char* out) {
        std::vector<std::string> all = training(set, folder / out, GetParam(), "150");
        if (GetParam() == std::string("refine")) {
            all.insert(all.end(), {"--target", set, "--pool", "9"});
        }
        return all;
    };
    const Outcome whole = run_program("patchforge-cpu", arguments("whole"));
    ASSERT_EQ(whole.status, 0) << whole.output;
    const testing::InterruptedRun killed = testing::run_through_kills(
        "patchforge-cpu", arguments("killed"), folder.path() / "killed", 6, 60);
    ASSERT_EQ(killed.last.status, 0) << killed.last.output;
    EXPECT_GE(killed.kills, 1);
    EXPECT_TRUE(result_of(folder / "whole", "150") == result_of(folder / "killed", "150"));
    const std::string report = bytes_of_file(folder / "whole/report.html");
    EXPECT_LT(report.find("Pictures</h2>"), report.find("Settings of the translation"));
    EXPECT_NE(report.find("data:image/png"), std::string::npos);
}
INSTANTIATE_TEST_SUITE_P(Every, TranslateRun,
                         ::testing::Values("super-resolution", "stain", "cycle", "refine"),
                         [](const auto& info) {
                             std::string name = info.param;
                             std::erase(name, '-');
                             return name;
                         });

TEST(Translate, MakesPicturesOfFilesAndFolders) {
    const ScratchFolder folder("translate");
    const std::string set = patches(folder, "21");
    const std::string run = folder / "edges";
    const Outcome trained = run_program("patchforge-cpu", training(set, run, "edges", "3"));
    ASSERT_EQ(trained.status, 0) << trained.output;
    const Json json = read_json(run + "/results.json");
    EXPECT_TRUE(json.at("figures").at("l1_network").is_number());

    // A sketch of another size, and the edges of pictures that are given as they are.
    write_png(folder / "sketch.png", {40, 33, 1, std::vector<std::uint8_t>(40 * 33, 255)});
    Outcome made = run_program("patchforge-cpu", {"translate", folder / "sketch.png", "--run", run,
                                                  "--out", folder / "painted"});
    ASSERT_EQ(made.status, 0) << made.output;
    const Image painted = read_picture(folder / "painted/sketch.png");
    EXPECT_EQ(painted.width, 40);
    EXPECT_EQ(painted.height, 33);
    made = run_program("patchforge-cpu", {"translate", folder / "tissue", "--run", run, "--out",
                                          folder / "redrawn", "--from-pictures"});
    ASSERT_EQ(made.status, 0) << made.output;
    EXPECT_NE(made.output.find("36 pictures"), std::string::npos) << made.output;

    // Again, in place of what was made before; nothing else goes, and refusals name their option.
    std::ofstream(folder / "painted/notes.txt") << "mine";
    made = run_program("patchforge-cpu", {"translate", folder / "sketch.png", "--run", run, "--out",
                                          folder / "painted"});
    EXPECT_EQ(made.status, 0) << made.output;
    EXPECT_EQ(bytes_of_file(folder / "painted/notes.txt"), "mine");
    made = run_program("patchforge-cpu", {"translate", folder / "painted/sketch.png", "--run", run,
                                          "--out", folder / "painted"});
    EXPECT_EQ(made.status, 2);
    EXPECT_NE(made.output.find("pictures"), std::string::npos) << made.output;
    made = run_program("patchforge-cpu", {"translate", folder / "sketch.png", folder / "sketch.png",
                                          "--run", run, "--out", folder / "twice"});
    EXPECT_EQ(made.status, 2);
    EXPECT_NE(made.output.find("two pictures have this name"), std::string::npos) << made.output;
    made = run_program("patchforge-cpu", {"translate", folder / "sketch.png", "--run", run, "--out",
                                          folder / "b", "--to", "cancer"});
    EXPECT_EQ(made.status, 2);
    EXPECT_NE(made.output.find("--to cancer"), std::string::npos) << made.output;
    const Outcome refused = run_program(
        "patchforge-cpu", with_options(training(set, folder / "c", "super-resolution", "3"),
                                       {"--generator", "unet"}));
    EXPECT_EQ(refused.status, 2);
    EXPECT_NE(refused.output.find("--generator"), std::string::npos) << refused.output;
}

// Drawings, and what a refiner makes of them, are labelled folders alike.
TEST(Translate, RefinesAFolderOfDrawings) {
    const ScratchFolder folder("translate-refine");
    const std::string set = patches(folder, "32");
    std::vector<std::string> arguments = training(set, folder / "run", "refine", "3");
    const Outcome refused = run_program("patchforge-cpu", arguments);
    EXPECT_EQ(refused.status, 2);
    EXPECT_NE(refused.output.find("--target"), std::string::npos) << refused.output;
    arguments.insert(arguments.end(), {"--target", set, "--judges", "1"});
    const Outcome trained = run_program("patchforge-cpu", arguments);
    ASSERT_EQ(trained.status, 0) << trained.output;
    const Json figures = read_json(folder / "run/results.json").at("figures");
    for (const char* name : {"labels_survive", "taught_gain_balanced_accuracy_low", "change"}) {
        EXPECT_TRUE(figures.at(name).is_number()) << name;
    }
    const std::string report = bytes_of_file(folder / "run/report.html");
    EXPECT_LT(report.find("of the labels survive"), report.find("Pictures</h2>"));
    const Outcome made =
        run_program("patchforge-cpu", {"translate", folder / "tissue", "--run", folder / "run",
                                       "--out", folder / "refined"});
    ASSERT_EQ(made.status, 0) << made.output;
    const Outcome packed = run_program(
        "patchforge-cpu", {"pack", folder / "refined", "--out", folder / "refined.pfs"});
    ASSERT_EQ(packed.status, 0) << packed.output;
    EXPECT_NE(packed.output.find("patients: 6"), std::string::npos) << packed.output;
}

// Classifiers of other classes, channels or sizes are refused by name, and nothing is begun.
TEST(Translate, RefinesByClassifiersOfTheDrawingsAlone) {
    const ScratchFolder folder("translate-classifier");
    const std::string set = patches(folder, "32");
    int number = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "tissue")) {
        if (entry.path().extension() == ".png") {
            const std::filesystem::path others(folder /
                                               (number % 2 ? "others/fat" : "others/stroma"));
            std::filesystem::create_directories(others);
            std::filesystem::copy(entry.path(), others / fmt::format("{}.png", number++));
        }
    }
    ASSERT_EQ(run_program("patchforge-cpu", {"tissue", folder / "small", "--patients", "6",
                                             "--patches", "6", "--size", "24"})
                  .status,
              0);
    const auto classifier = [&](const char* name, const std::string& data, const char* channels) {
        const Outcome trained = run_program(
            "patchforge-cpu",
            {"train", "classifier", "--data", data, "--channels", channels, "--preset", "mlp",
             "--hidden-dims", "4", "--epochs", "1", "--threads", "1", "--out", folder / name});
        EXPECT_EQ(trained.status, 0) << trained.output;
        return folder / name;
    };
    const std::string right = classifier("right", set, "3");
    std::vector<std::string> arguments = training(set, folder / "run", "refine", "2");
    arguments.insert(arguments.end(), {"--target", set, "--judges", "0", "--classifier"});
    const auto refined_by = [&](const std::string& classifiers) {
        std::vector<std::string> all = arguments;
        all.push_back(classifiers);
        return run_program("patchforge-cpu", all);
    };
    const std::map<std::string, std::string> wrong = {
        {classifier("others-classes", folder / "others", "3"), "stroma"},
        {classifier("grey", folder / "tissue", "1"), "1x32x32"},
        {classifier("sizes", folder / "small", "3"), "3x24x24"}};
    for (const auto& [name, what] : wrong) {
        const Outcome refused = refined_by(right + "," + name);
        EXPECT_EQ(refused.status, 2) << refused.output;
        for (const std::string& said :
             {"--classifier " + name + ":", what, std::string("3x32x32")}) {
            EXPECT_NE(refused.output.find(said), std::string::npos) << said << refused.output;
        }
        EXPECT_FALSE(std::filesystem::exists(folder / "run"));
    }
    const Outcome trained = refined_by(right + "," + right);
    EXPECT_EQ(trained.status, 0) << trained.output;
}

TEST(Translate, TakesTheNewestCheckpointByItsNumber) {
    const ScratchFolder folder("translate-newest");
    const std::string run = folder / "edges";
    const Outcome trained =
        run_program("patchforge-cpu", training(patches(folder, "21"), run, "edges", "14"));
    ASSERT_EQ(trained.status, 0) << trained.output;
    write_png(folder / "sketch.png", {21, 21, 1, std::vector<std::uint8_t>(21 * 21, 200)});
    const auto painted = [&](const char* out) {
        const Outcome made = run_program("patchforge-cpu", {"translate", folder / "sketch.png",
                                                            "--run", run, "--out", folder / out});
        EXPECT_EQ(made.status, 0) << made.output;
        return bytes_of_file(folder.path() / out / "sketch.png");
    };
    const std::string with_earlier = painted("a");
    // A folder may mix sizes; what is no picture is told, what cannot be read fails by name when the others are made.
    const std::filesystem::path mixed = folder.path() / "mixed";
    std::filesystem::create_directories(mixed);
    for (const auto& [width, height] : {std::pair(21, 21), std::pair(30, 18), std::pair(18, 30)}) {
        write_png(mixed / (std::to_string(width) + ".png"),
                  {width, height, 1, std::vector<std::uint8_t>(width * height, 150)});
    }
    const Outcome of_folder = run_program(
        "patchforge-cpu", {"translate", mixed, "--run", run, "--out", folder / "of-mixed"});
    EXPECT_EQ(of_folder.status, 0) << of_folder.output;
    EXPECT_EQ(read_picture_size(folder.path() / "of-mixed/30.png"), (PictureSize{30, 18}));
    EXPECT_EQ(read_picture_size(folder.path() / "of-mixed/18.png"), (PictureSize{18, 30}));
    std::ofstream(mixed / "notes.txt") << "x";
    std::ofstream(mixed / "torn.png") << "x";
    const Outcome torn = run_program(
        "patchforge-cpu", {"translate", mixed, "--run", run, "--out", folder / "of-torn"});
    EXPECT_EQ(torn.status, 1);
    EXPECT_NE(torn.output.find("1 of 4 not translated"), std::string::npos) << torn.output;
    EXPECT_NE(torn.output.find("torn.png: "), std::string::npos) << torn.output;
    EXPECT_NE(torn.output.find("left out 1 (no picture"), std::string::npos) << torn.output;
    for (const char* earlier : {"step_6", "step_12"}) {
        EXPECT_GT(std::filesystem::remove_all(run + "/checkpoints/" + earlier), 0u) << earlier;
    }
    EXPECT_TRUE(with_earlier == painted("b"));
}

// Two folders whose pictures have equal names; the second is what the first becomes.
TEST(Translate, TakesPairsOfTwoFolders) {
    const ScratchFolder folder("translate-pairs");
    for (int i = 0; i < 10; ++i) {
        for (const auto& [side, level] : {std::pair("a", 40 + i), std::pair("b", 200 - i)}) {
            std::filesystem::create_directories(folder.path() / side);
            write_png(
                folder.path() / side / ("p" + std::to_string(i) + ".png"),
                {16, 16, 3, std::vector<std::uint8_t>(768, static_cast<std::uint8_t>(level))});
        }
    }
    std::vector<std::string> arguments = training(folder / "a", folder / "run", "stain", "3");
    arguments = with_options(arguments, {"--test-patients", "0.2"});
    arguments.insert(arguments.end(), {"--target", folder / "b"});
    const Outcome outcome = run_program("patchforge-cpu", arguments);
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_NE(outcome.output.find("8 pairs, 1x16x16 to 1x16x16, 2 held out"), std::string::npos)
        << outcome.output;
    std::filesystem::remove(folder.path() / "b/p3.png");
    arguments = with_options(arguments, {"--out", folder / "again"});
    const Outcome refused = run_program("patchforge-cpu", arguments);
    EXPECT_EQ(refused.status, 2);
    EXPECT_NE(refused.output.find("p3.png"), std::string::npos) << refused.output;
}

TEST(Translate, FullToursShowThreeTrainings) {
    const ScratchFolder folder("translate-tour");
    patches(folder, "16");
    const auto tour = [&](const std::string& data) {
        return run_program("patchforge-cpu",
                           {"tour", "--full", "--data", data, "--out", folder / "tour", "--steps",
                            "2", "--epochs", "1", "--count", "20", "--threads", "2"});
    };
    const Outcome made = tour(folder / "tissue");
    ASSERT_EQ(made.status, 0) << made.output;
    const std::string page = bytes_of_file(folder / "tour/report.html");
    for (const char* part : {"Super-resolution", "Pictures from pictures, in pairs",
                             "Pictures from pictures, in cycles"}) {
        EXPECT_NE(page.find(std::string(part) + "</h2>"), std::string::npos) << part;
    }
    EXPECT_NE(page.find("There and back a picture changes by"), std::string::npos);
    std::filesystem::create_directories(folder.path() / "wide");
    for (int i = 0; i < 12; ++i) {
        write_png(folder / ("wide/p" + std::to_string(i) + ".png"),
                  {20, 16, 1, std::vector<std::uint8_t>(320, static_cast<std::uint8_t>(i))});
    }
    const Outcome refused = tour(folder / "wide");
    EXPECT_EQ(refused.status, 2);
    EXPECT_NE(refused.output.find("--full"), std::string::npos) << refused.output;
}

TEST(Translate, PlanSaysWhatItTakes) {
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"plan", "translate"}, {"plan", "train", "translate"}}) {
        const Outcome refused = run_program("patchforge-cpu", words);
        EXPECT_EQ(refused.status, 2);
        EXPECT_NE(refused.output.find("plan takes the GAN"), std::string::npos) << refused.output;
    }
}

} // namespace
} // namespace patchforge
