// The models of a call, from disk: a classifier, an ensemble of classifiers, a detector.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/model/classifier_model.h"

namespace patchforge {

class PackedSet;

struct LoadedVictim {
    std::string name; // the paths, as tables call it
    std::vector<std::unique_ptr<ClassifierModel>> models;
    // Milliseconds of one training step of all its members, by their runs' timing.json; NaN where
    // that is unknown.
    double training_step = 0;

    std::vector<const ClassifierModel*> members() const;
    const ClassifierFormat& format() const { return models.front()->format(); }
    std::string hashes() const;
    // The class of the largest mean logit of each patch.
    std::vector<std::int32_t> answers(std::span<const std::uint8_t> patches) const;
};

// Every path is a run folder, weights, or a folder of ensemble members; several: one ensemble of
// all. Errors of load_members.
LoadedVictim load_victim(Backend& backend, const std::vector<std::string>& paths,
                         const ModelReading& reading = {});

// What `option` names, a classifier of pictures of `pixels` numbers, of which `who` says "the patches have" or
// the like. Throws std::invalid_argument where it takes other ones.
std::unique_ptr<ClassifierModel> load_classifier(Backend& backend, const std::string& option,
                                                 const std::string& path, std::int64_t pixels,
                                                 const std::string& who,
                                                 const ModelReading& reading = {});

// The model in front of another: two classes (class 1: adversarial), the pictures of `like`. Throws
// std::invalid_argument: --detector.
std::unique_ptr<ClassifierModel> load_detector(Backend& backend, const std::string& path,
                                               const ClassifierFormat& like,
                                               const ModelReading& reading = {});

// Throws std::invalid_argument naming --data when the set's pictures are not those that `name` takes.
void require_pictures(const PackedSet& set, const ClassifierFormat& format,
                      const std::string& name);

// The model's class for each class of the set, matched by name or number (data/class_match.h); -1 for
// one without patches that the model does not know. Errors of require_pictures; std::invalid_argument
// naming --data when the model knows no classes, or the set holds patches of another class.
std::vector<std::int32_t> model_classes(const PackedSet& set, const ClassifierFormat& format,
                                        const std::string& name);

} // namespace patchforge
