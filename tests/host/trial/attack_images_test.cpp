// The pictures of an attack, written and read again.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "data/patch_folder.h"
#include "host/trial/attack_images.h"
#include "host/trial/attack_table.h"
#include "tests/host/attack/attacked_models.h"
#include "tests/host/temporary_folder.h"

namespace patchforge::testing {
namespace {

constexpr std::int64_t samples = 21; // two batches of 16, the second short

AttackOptions options_for(const std::string& method) {
    AttackOptions options;
    options.method = attack_method(method);
    options.batch_size = 16;
    options.steps = 4;
    return options;
}

class AttackImages : public ::testing::TestWithParam<const char*> {
  protected:
    std::unique_ptr<Backend> backend = make_backend(GetParam());
    std::unique_ptr<ClassifierModel> model = random_model(*backend, format_of(3, 5, 6, 3), 11);
    AttackSet set = set_for(*model, samples, 12);

    AttackResult run(const std::string& method, double epsilon) {
        return AttackRunner({model.get()}, nullptr, set, options_for(method)).run(epsilon);
    }
};
INSTANTIATE_TEST_SUITE_P(Every, AttackImages, ::testing::Values("cpu", "cuda"));

TEST_P(AttackImages, SavedImagesReadBackAsTheyWere) {
    const TemporaryFolder folder;
    const AttackResult result = run("fgsm", 4.0 / 255);
    const auto out = folder.path() / "adversarial";
    const SavedImages saved = save_images(out, result, set, model->format(), Norm::linf);
    EXPECT_EQ(saved.files, samples);
    EXPECT_EQ(saved.changed_on_disk, 0);
    EXPECT_EQ(saved.outside_ball, 0);
    const PatchFolder scanned = scan_patch_folder(out);
    ASSERT_EQ(static_cast<std::int64_t>(scanned.entries.size()), samples);
    EXPECT_EQ(scanned.class_names, model->format().class_names);
    for (const PatchEntry& entry : scanned.entries) {
        const auto i =
            static_cast<std::size_t>(std::stoi(std::filesystem::path(entry.path).stem().string()));
        EXPECT_EQ(entry.label, set.labels[i]);
        const Image image = read_picture(out / entry.path, 3);
        EXPECT_EQ(model->predictions(image.pixels).at(0), result.samples[i].rounded);
    }
    EXPECT_THROW(save_images(out, result, set, model->format(), Norm::linf), std::invalid_argument);
    const PictureSheet sheet = attack_sheet(result, set, model->format(), 4);
    EXPECT_EQ(sheet.rows.size(), sheet.row_names.size());
    EXPECT_EQ(sheet.rows.front().size(), sheet.column_names.size());
    EXPECT_EQ(sheet.rows.front().front().channels, 3);
}

// Patches of different folders may have one name, and another may be what would tell them apart.
TEST_P(AttackImages, NoNameIsUsedTwice) {
    const TemporaryFolder folder;
    for (std::int64_t i = 0; i < samples; ++i) {
        set.names.push_back(i % 3 == 0   ? fmt::format("folder {}/x.png", i)
                            : i % 3 == 1 ? fmt::format("{:06}_x.png", i + 2)
                                         : std::string(245, 'y') + ".png");
    }
    const auto out = folder.path() / "adversarial";
    const SavedImages saved =
        save_images(out, run("fgsm", 4.0 / 255), set, model->format(), Norm::linf);
    EXPECT_EQ(saved.files, samples);
    EXPECT_EQ(saved.changed_on_disk, 0);
    std::int64_t files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(out)) {
        files += entry.is_regular_file();
    }
    EXPECT_EQ(files, samples);
}

// What a model got right and no longer does; forgeries with a target break by that answer alone.
TEST(Transfer, CountsWhatWasRightBefore) {
    AttackResult forged;
    forged.samples.resize(4);
    AttackSet set;
    set.labels = {0, 0, 2, 2};
    const std::vector<std::int32_t> clean = {0, 1, 2, 2}, answers = {1, 2, 2, 0};
    BrokenOfRight counts = broken_of_right(forged, set, clean, answers);
    EXPECT_EQ(counts.correct, 3);
    EXPECT_EQ(counts.broken, 2);
    for (SampleOutcome& sample : forged.samples) {
        sample.target = 1;
    }
    counts = broken_of_right(forged, set, clean, answers);
    EXPECT_EQ(counts.correct, 3);
    EXPECT_EQ(counts.broken, 1);
}

// Sheets take from every class in turn: a set in the order of its classes does not hide the last.
TEST(AttackSheet, ShowsEveryClass) {
    AttackResult result;
    AttackSet set;
    const auto add = [&](std::int32_t label, bool broken) {
        SampleOutcome sample;
        sample.clean = sample.rounded = label;
        sample.rounded = broken ? 1 - label : label;
        result.samples.push_back(sample);
        set.labels.push_back(label);
    };
    for (int i = 0; i < 20; ++i) {
        add(0, true);
    }
    for (int i = 0; i < 6; ++i) {
        add(1, i > 2);
    }
    EXPECT_EQ(samples_shown(result, set, 8), (std::vector<std::size_t>{0, 1, 2, 3, 4, 23, 24, 25}));
    for (SampleOutcome& sample : result.samples) {
        sample.rounded = sample.clean;
    }
    EXPECT_EQ(samples_shown(result, set, 4), (std::vector<std::size_t>{0, 1, 20, 21}));
}

// An attack's images, saved, packed from the files and asked about again: what the live attack said
// of them, and the same attack of a second model on them.
TEST_P(AttackImages, ASavedSetStandsForTheLiveOne) {
    const TemporaryFolder folder;
    const AttackResult live = run("pgd", 6.0 / 255);
    const auto out = folder.path() / "adversarial";
    save_images(out, live, set, model->format(), Norm::linf);
    AttackSet saved{
        std::vector<std::uint8_t>(live.levels.size()), std::vector<std::int32_t>(samples), {}};
    for (const PatchEntry& entry : scan_patch_folder(out).entries) {
        const int i = std::stoi(std::filesystem::path(entry.path).stem().string());
        const Image image = read_picture(out / entry.path, 3);
        std::copy(image.pixels.begin(), image.pixels.end(), saved.levels.begin() + i * 90);
        saved.labels.at(static_cast<std::size_t>(i)) = entry.label;
    }
    EXPECT_EQ(saved.levels, live.levels);
    EXPECT_EQ(saved.labels, set.labels);
    const std::vector<std::int32_t> answers =
        AttackRunner({model.get()}, nullptr, saved, options_for("fgsm")).clean();
    for (std::size_t i = 0; i < answers.size(); ++i) {
        EXPECT_EQ(answers[i], live.samples[i].rounded) << i;
    }
    const auto other = random_model(*backend, format_of(3, 5, 6, 3), 51);
    const AttackSet kept{live.levels, set.labels, {}};
    const AttackOptions options = options_for("fgsm");
    EXPECT_EQ(AttackRunner({other.get()}, nullptr, saved, options).run(0.02).levels,
              AttackRunner({other.get()}, nullptr, kept, options).run(0.02).levels);
}

} // namespace
} // namespace patchforge::testing
