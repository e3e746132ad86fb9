// `latent` as a user runs it: groups by a classifier's verdict, G' - M' + W', codes that make the
// sheet's pictures again. `project` searches codes.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "host/files/safetensors.h"
#include "tests/host/end_to_end/program.h"

namespace patchforge {
namespace {

using testing::Outcome;
using testing::patchforge;
using testing::ScratchFolder;

// A set of drawn tissue and a GAN trained on it, in tissue/ and gan/ of the folder.
void train_small_gan(const ScratchFolder& folder, const std::string& steps) {
    const std::string set = folder / "tissue";
    ASSERT_EQ(
        patchforge({"tissue", set, "--patients", "8", "--patches", "12", "--size", "10"}).status,
        0);
    const Outcome outcome =
        patchforge({"train", "gan", "--data", set, "--out", folder / "gan", "--steps", steps,
                    "--hidden-dim", "16", "--latent-dim", "5"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
}

struct Codes {
    std::int64_t count = 0, width = 0;
    std::vector<float> values;

    explicit Codes(const std::filesystem::path& path) {
        const TensorFile file = read_safetensors(path);
        const Tensor& tensor = file.at("latents");
        count = tensor.shape.at(0);
        width = tensor.shape.at(1);
        const auto all = f32(tensor);
        values.assign(all.begin(), all.end());
    }
    double mean(std::int64_t column) const {
        double sum = 0;
        for (std::int64_t row = 0; row < count; ++row) {
            sum += values[static_cast<std::size_t>(row * width + column)];
        }
        return sum / static_cast<double>(count);
    }
};

TEST(Latent, ArithmeticOfThreeNamedGroups) {
    const ScratchFolder folder("latent");
    const std::string set = folder / "tissue", gan = folder / "gan", judge = folder / "judge";
    ASSERT_NO_FATAL_FAILURE(train_small_gan(folder, "60"));
    Outcome outcome =
        patchforge({"train", "classifier", "--data", set, "--out", judge, "--epochs", "3"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;

    const auto arithmetic = [&](const std::vector<std::string>& more) {
        std::vector<std::string> call = {
            "latent",       "arithmetic", "--run",      gan,
            "--model",      judge,        "--out",      folder / "sheet.png",
            "--draws",      "400",        "--rows",     "3",
            "--steps",      "4",          "--strength", "1.5",
            "--confidence", "0"};
        call.insert(call.end(), more.begin(), more.end());
        return patchforge(call);
    };
    outcome = arithmetic(
        {"--from-name", "calm", "--to-name", "angry", "--save-groups", folder / "groups"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    // Other codes as the group to start from, and another group to go to.
    outcome = arithmetic({"--seed", "9", "--save-groups", folder / "others", "--from-name", "base",
                          "--to-name", "goal"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    outcome = arithmetic({"--base-group", folder / "others/base.safetensors", "--from-group",
                          folder / "groups/calm.safetensors", "--to-group",
                          folder / "others/goal.safetensors", "--save-codes",
                          folder / "codes.safetensors"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_NE(outcome.output.find("'base' plus so many times ('goal' - 'calm')"), std::string::npos)
        << outcome.output;

    const Codes base(folder / "others/base.safetensors"), from(folder / "groups/calm.safetensors"),
        to(folder / "others/goal.safetensors"), sheet(folder / "codes.safetensors");
    ASSERT_EQ(sheet.count, 3 * 4);
    ASSERT_EQ(sheet.width, base.width);
    for (std::int64_t column = 0; column < sheet.width; ++column) {
        for (std::int64_t step = 0; step < 4; ++step) {
            // The first row starts from the base group's mean.
            const double expected = base.mean(column) + 0.5 * static_cast<double>(step) *
                                                            (to.mean(column) - from.mean(column));
            const double got = sheet.values[static_cast<std::size_t>(step * sheet.width + column)];
            EXPECT_FALSE(!(std::fabs(got - expected) <= 1e-5)) << column << " " << step;
        }
    }
    outcome = patchforge({"generate", "--run", gan, "--latents", folder / "codes.safetensors",
                          "--out", folder / "again"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_NE(outcome.output.find("12 fakes"), std::string::npos) << outcome.output;
}

TEST(Projection, TakesOwnPicturesWithoutOthers) {
    const ScratchFolder folder("projection");
    ASSERT_NO_FATAL_FAILURE(train_small_gan(folder, "5"));
    const auto project = [&](const std::vector<std::string>& more) {
        std::vector<std::string> call = {
            "project",  "--run", folder / "gan", "--out", folder / "projected", "--steps", "5",
            "--polish", "0",     "--starts",     "1"};
        call.insert(call.end(), more.begin(), more.end());
        return patchforge(call);
    };
    Outcome outcome = project({"--own", "2"});
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_TRUE(std::filesystem::exists(folder / "projected")) << outcome.output;
    outcome = project({"--own", "0"});
    EXPECT_NE(outcome.status, 0);
    EXPECT_NE(outcome.output.find("nothing to project"), std::string::npos) << outcome.output;
}

} // namespace
} // namespace patchforge
