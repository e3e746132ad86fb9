// The pictures of an attack: PNG files in class folders, and the sheet of a few samples.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "host/attack/attack_runner.h"
#include "host/model/classifier_model.h"
#include "host/page/image_grid.h"

namespace patchforge {

struct SavedImages {
    std::int64_t files = 0;
    std::int64_t changed_on_disk = 0; // read back, a picture is not what was written
    std::int64_t outside_ball = 0;    // pixels that, read back, are outside the ball (linf)
};

// Every sample's 8-bit image under folder/<class>/, class by its true label, then reads every file
// back. The folders are those of class_folders(). `folder` must not hold anything yet:
// std::invalid_argument.
SavedImages save_images(const std::filesystem::path& folder, const AttackResult& result,
                        const AttackSet& set, const ClassifierFormat& format, Norm norm);

// Which samples attack_sheet() shows: up to `rows` broken ones (or, without any, others), as many of each
// class as there are, ordered by class.
std::vector<std::size_t> samples_shown(const AttackResult& result, const AttackSet& set, int rows);

// These samples: original | perturbation, amplified | adversarial, with what the victim calls each and
// its confidence.
PictureSheet attack_sheet(const AttackResult& result, const AttackSet& set,
                          const ClassifierFormat& format, int rows);

} // namespace patchforge
