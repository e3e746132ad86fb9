// Who holds the generator itself need not wait until it draws a patch: the nearest picture that it can
// make is searched for from the nearest of many draws, the gradient running through the generator (Chen
// et al. 2020, GAN-Leaks, the white box).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "host/evaluate/image_extractors.h"
#include "host/model/load_generator.h"

namespace patchforge {

struct LatentRecoveryOptions {
    std::int64_t draws = 2048; // that the nearest start is chosen of
    std::int64_t steps = 100;  // of Adam, from there
    std::uint64_t seed = 2020;
    int threads = 0;
};

// For each image the distance, as nearness() measures it in pixels_of(), to the picture that was found.
// The ranks of a job share the images.
std::vector<double> recovery_distances(LoadedGenerator& generator, const ImageSet& images,
                                       const LatentRecoveryOptions& options,
                                       const std::function<void(std::int64_t)>& progress = {});

} // namespace patchforge
