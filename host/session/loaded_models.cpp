#include "host/session/loaded_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "data/class_match.h"
#include "data/escape.h"
#include "host/model/classifier_members.h"
#include "host/run/timing_file.h"
#include "host/session/open_set.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

double training_step(const fs::path& run) {
    constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
    const auto time = read_timing(run);
    return time && time->steps > 0 ? 1000 * time->seconds / static_cast<double>(time->steps)
                                   : unknown;
}

} // namespace

std::vector<const ClassifierModel*> LoadedVictim::members() const {
    std::vector<const ClassifierModel*> list;
    for (const auto& model : models) {
        list.push_back(model.get());
    }
    return list;
}

std::string LoadedVictim::hashes() const {
    std::string text;
    for (const auto& model : models) {
        text += (text.empty() ? "" : " ") + model->hash();
    }
    return text;
}

std::vector<std::int32_t> LoadedVictim::answers(std::span<const std::uint8_t> patches) const {
    return argmax_of(mean_logits(models, patches), format().class_count());
}

LoadedVictim load_victim(Backend& backend, const std::vector<std::string>& paths,
                         const ModelReading& reading) {
    LoadedVictim victim;
    for (const std::string& path : paths) {
        victim.name += (victim.name.empty() ? "" : "+") + path;
        std::ranges::move(load_members(backend, path, reading), std::back_inserter(victim.models));
        for (const fs::path& member : classifier_members(path)) {
            victim.training_step += training_step(member);
        }
    }
    return victim;
}

std::unique_ptr<ClassifierModel> load_classifier(Backend& backend, const std::string& option,
                                                 const std::string& path, std::int64_t pixels,
                                                 const std::string& who,
                                                 const ModelReading& reading) {
    auto classifier = ClassifierModel::load(backend, path, reading);
    if (classifier->pixels() != pixels) {
        throw std::invalid_argument(
            fmt::format("{} {}: takes {} pixels, {} {}; give a classifier of such pictures", option,
                        path, classifier->pixels(), who, pixels));
    }
    return classifier;
}

std::unique_ptr<ClassifierModel> load_detector(Backend& backend, const std::string& path,
                                               const ClassifierFormat& like,
                                               const ModelReading& reading) {
    auto detector = ClassifierModel::load(backend, path, reading);
    const ClassifierFormat& f = detector->format();
    if (f.extent() != like.extent() || f.class_count() != 2) {
        throw std::invalid_argument(fmt::format(
            "--detector {}: takes {} patches and knows {} classes; give a model of two classes "
            "(clean, adversarial) for {} patches",
            path, f.extent().text(), f.class_count(), like.extent().text()));
    }
    return detector;
}

void require_pictures(const PackedSet& set, const ClassifierFormat& format,
                      const std::string& name) {
    if (format.extent() != extent_of(set)) {
        throw std::invalid_argument(
            fmt::format("--data {}: holds {} patches, {} takes {}; give data of the model's size{}",
                        set.path().string(), extent_of(set).text(), name, format.extent().text(),
                        set.channels() == 1 ? ", or --channels 3 for grey pictures" : ""));
    }
}

std::vector<std::int32_t> model_classes(const PackedSet& set, const ClassifierFormat& format,
                                        const std::string& name) {
    require_pictures(set, format, name);
    const std::vector<std::int64_t> counts = set.class_counts();
    std::vector<std::int32_t> numbers = classes_known(set.class_names(), format.class_names);
    for (std::size_t c = 0; c < numbers.size(); ++c) {
        if (numbers[c] < 0 && counts[c] > 0) {
            throw std::invalid_argument(fmt::format(
                "--data {}: its class '{}' ({} patches) is none of those of {}: {}; give data of "
                "the model's classes, or --layout flat, for which right is what the model itself "
                "answers",
                set.path().string(), terminal_text(set.class_names()[c]), counts[c], name,
                terminal_list(format.class_names)));
        }
    }
    return numbers;
}

} // namespace patchforge
