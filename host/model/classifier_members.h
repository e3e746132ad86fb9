// An ensemble on disk: a folder with member_0, member_1, ..., each a run of its own.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "host/model/classifier_model.h"

namespace patchforge {

std::filesystem::path member_folder(const std::filesystem::path& ensemble, std::int64_t member);

// The members' folders in order, or `path` alone when it is not an ensemble.
std::vector<std::filesystem::path> classifier_members(const std::filesystem::path& path);

// The models behind classifier_members(path). Errors of ClassifierModel::load, and
// std::runtime_error when members differ in size or classes.
std::vector<std::unique_ptr<ClassifierModel>>
load_members(Backend& backend, const std::filesystem::path& path, const ModelReading& reading = {});

// Mean of the members' class logits, [count, classes].
std::vector<float> mean_logits(const std::vector<std::unique_ptr<ClassifierModel>>& members,
                               std::span<const std::uint8_t> patches);
// What those of class 1 are lower by, for the members' thresholds.
double mean_lead(const std::vector<std::unique_ptr<ClassifierModel>>& members);

} // namespace patchforge
