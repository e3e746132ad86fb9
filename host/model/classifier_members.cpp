#include "host/model/classifier_members.h"

#include <fmt/format.h>

#include <stdexcept>

namespace patchforge {

namespace fs = std::filesystem;

fs::path member_folder(const fs::path& ensemble, std::int64_t member) {
    return ensemble / fmt::format("member_{}", member);
}

std::vector<fs::path> classifier_members(const fs::path& path) {
    std::vector<fs::path> members;
    while (fs::is_directory(member_folder(path, std::ssize(members)))) {
        members.push_back(member_folder(path, std::ssize(members)));
    }
    return members.empty() ? std::vector<fs::path>{path} : members;
}

std::vector<std::unique_ptr<ClassifierModel>> load_members(Backend& backend, const fs::path& path,
                                                           const ModelReading& reading) {
    std::vector<std::unique_ptr<ClassifierModel>> members;
    for (const fs::path& member : classifier_members(path)) {
        members.push_back(ClassifierModel::load(backend, member, reading));
        const ClassifierFormat& first = members.front()->format();
        const ClassifierFormat& other = members.back()->format();
        if (first.extent() != other.extent() || first.class_names != other.class_names) {
            throw std::runtime_error(fmt::format(
                "{}: its patches or classes are not those of {}; members of an ensemble must have "
                "been trained on the same data",
                member.string(), member_folder(path, 0).string()));
        }
    }
    return members;
}

std::vector<float> mean_logits(const std::vector<std::unique_ptr<ClassifierModel>>& members,
                               std::span<const std::uint8_t> patches) {
    std::vector<float> mean = members.front()->logits(patches);
    for (std::size_t m = 1; m < members.size(); ++m) {
        const std::vector<float> logits = members[m]->logits(patches);
        for (std::size_t i = 0; i < mean.size(); ++i) {
            mean[i] += logits[i];
        }
    }
    for (float& logit : mean) {
        logit /= static_cast<float>(members.size());
    }
    return mean;
}

double mean_lead(const std::vector<std::unique_ptr<ClassifierModel>>& members) {
    double sum = 0;
    for (const auto& member : members) {
        sum += member->lead();
    }
    return sum / static_cast<double>(members.size());
}

} // namespace patchforge
