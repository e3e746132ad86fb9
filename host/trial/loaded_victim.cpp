#include "host/trial/loaded_victim.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "data/packed_set.h"
#include "data/read_bytes.h"
#include "host/model/class_names.h"
#include "host/model/classifier_members.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

double training_step(const fs::path& run) {
    constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
    const fs::path file = run / "timing.json";
    if (!fs::exists(file)) {
        return unknown;
    }
    const std::vector<std::uint8_t> bytes = read_bytes(file, 1 << 16);
    const auto json = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, false);
    if (!json.is_object() || !json.contains("training_seconds") || !json.contains("steps") ||
        !json["training_seconds"].is_number() || !json["steps"].is_number() ||
        json["steps"].get<double>() < 1) {
        return unknown;
    }
    return 1000 * json["training_seconds"].get<double>() / json["steps"].get<double>();
}

// Whether the names, or their numbers, stand in the same order.
bool agree(std::span<const std::string> some, std::span<const std::string> others) {
    const std::vector<std::int32_t> matched = match_classes(some, others);
    for (std::size_t k = 0; k < matched.size(); ++k) {
        if (matched[k] != static_cast<std::int32_t>(k)) {
            return false;
        }
    }
    return true;
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

LoadedVictim load_victim(Backend& backend, const std::vector<std::string>& paths) {
    LoadedVictim victim;
    for (const std::string& path : paths) {
        victim.name += (victim.name.empty() ? "" : "+") + path;
        for (const fs::path& member : classifier_members(path)) {
            victim.models.push_back(ClassifierModel::load(backend, member));
            victim.training_step += training_step(member);
        }
    }
    return victim;
}

std::unique_ptr<ClassifierModel> load_detector(Backend& backend, const std::string& path,
                                               const ClassifierFormat& like) {
    auto detector = ClassifierModel::load(backend, path);
    const ClassifierFormat& f = detector->format();
    if (f.channels != like.channels || f.height != like.height || f.width != like.width ||
        f.class_count() != 2) {
        throw std::invalid_argument(fmt::format(
            "--detector {}: takes {} x {} x {} patches and knows {} classes; give a model of two "
            "classes (clean, adversarial) for {} x {} x {} patches",
            path, f.channels, f.height, f.width, f.class_count(), like.channels, like.height,
            like.width));
    }
    return detector;
}

void check_data_fits(const PackedSet& set, const ClassifierFormat& format,
                     const std::string& name) {
    if (format.channels != set.channels() || format.height != set.height() ||
        format.width != set.width()) {
        throw std::invalid_argument(fmt::format(
            "--data {}: holds {} x {} x {} patches, {} takes {} x {} x {}; give data of the "
            "model's size",
            set.path().string(), set.channels(), set.height(), set.width(), name, format.channels,
            format.height, format.width));
    }
    if (format.class_names.size() != set.class_names().size()) {
        throw std::invalid_argument(fmt::format(
            "--data {}: has {} classes, {} knows {}; give data of the model's classes",
            set.path().string(), set.class_names().size(), name, format.class_names.size()));
    }
    if (!agree(set.class_names(), format.class_names) &&
        !agree(format.class_names, set.class_names())) {
        throw std::invalid_argument(fmt::format(
            "--data {}: its classes are {}, those of {} are {}; give data of the model's classes",
            set.path().string(), fmt::join(set.class_names(), ", "), name,
            fmt::join(format.class_names, ", ")));
    }
}

} // namespace patchforge
