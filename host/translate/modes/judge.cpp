#include "host/translate/modes/judge.h"

#include <fmt/format.h>

#include "host/translate/picture_pairs.h"

namespace patchforge {

std::vector<Image> pictures_of(const PatchRows& rows) {
    std::vector<Image> pictures;
    for (std::int64_t i = 0; i < rows.used(); ++i) {
        pictures.push_back(picture_of(rows, i));
    }
    return pictures;
}

void append(OwnedPatches& patches, const std::vector<Image>& pictures, std::int32_t label) {
    for (const Image& picture : pictures) {
        patches.bytes.insert(patches.bytes.end(), picture.pixels.begin(), picture.pixels.end());
        patches.labels.push_back(label);
    }
}

std::vector<double> mean_colour(const std::vector<Image>& pictures) {
    std::vector<double> sums(static_cast<std::size_t>(pictures.front().channels), 0.0);
    for (const Image& picture : pictures) {
        const std::size_t plane = picture.pixels.size() / sums.size();
        for (std::size_t k = 0; k < picture.pixels.size(); ++k) {
            sums[k / plane] += picture.pixels[k] / static_cast<double>(plane);
        }
    }
    for (double& sum : sums) {
        sum /= static_cast<double>(pictures.size());
    }
    return sums;
}

TranslationResults::Table
colour_table(const std::string& caption,
             const std::vector<std::pair<std::string, const std::vector<Image>&>>& groups) {
    TranslationResults::Table table{caption, {"pictures"}, {}};
    const int channels = groups.front().second.front().channels;
    for (int c = 0; c < channels; ++c) {
        table.columns.push_back(channels == 1 ? "grey" : std::string(1, "RGB"[c]));
    }
    for (const auto& [name, pictures] : groups) {
        std::vector<std::string> row = {name};
        for (const double mean : mean_colour(pictures)) {
            row.push_back(fmt::format("{:.1f}", mean));
        }
        table.rows.push_back(row);
    }
    return table;
}

Judge::Judge(Backend& backend, const PatchRows& patches, std::uint64_t seed, std::int64_t classes,
             double stain_jitter) {
    ClassifierOptions options = classifier_preset("cnn");
    options.epochs = 5;
    options.seed = seed;
    options.stain_jitter = stain_jitter;
    ClassifierFormat format{patches.channels, patches.height, patches.width, {}};
    for (std::int64_t label = 0; label < classes; ++label) {
        format.class_names.push_back(std::to_string(label));
    }
    trainer_ = std::make_unique<ClassifierTrainer>(backend, options, format, patches);
    trainer_->run_to_the_end();
}

std::vector<float> Judge::answers(const std::vector<Image>& pictures) const {
    OwnedPatches patches;
    append(patches, pictures, 0);
    return answers(std::span<const std::uint8_t>(patches.bytes));
}

std::vector<float> Judge::answers(std::span<const std::uint8_t> bytes) const {
    return trainer_->model().logits(bytes);
}

} // namespace patchforge
