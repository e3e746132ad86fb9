// What goes beside released fakes: DATA-CARD.md for people and data-card.json for programs. They say what
// was trained on how many patients and patches, by which options, and what was measured of this very
// generator, or that nothing was; they name no patient and no path of whoever made them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "host/model/image_generator.h"

namespace patchforge {

struct Release {
    std::filesystem::path run;     // a GAN's folder
    std::filesystem::path weights; // of the generator, in it
    GeneratorFormat format;
    std::uint64_t seed = 0; // of the codes
    double truncation = 1;
    // Fakes by the folder that they lie in, below that of the release.
    std::map<std::string, std::int64_t> fakes;
};

// Throws std::invalid_argument where `run` is no GAN's folder, or a class is named as a patient of its
// set, as far as that is a .pfs file which is still there.
void check_release(const Release& release);

// Both files, into `folder`. What stands in the run's privacy.json and metric files is told where it was
// measured of these weights.
void write_data_card(const std::filesystem::path& folder, const Release& release);

} // namespace patchforge
