// What a GAN's discriminator thinks of patches. It has seen those that it was trained on again and again:
// where it learnt them by heart it calls them real more surely than others (Hayes et al. 2019, LOGAN).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "host/evaluate/image_extractors.h"
#include "kernels/backend.h"

namespace patchforge {

// Its logit for each image, dropout off. `classes`: how many a conditional GAN knows, and `labels` the
// class of each image among them; 0 and empty otherwise. Images are asked about in a mixed order, since a
// discriminator that compares the rows of a batch would else see who stands beside whom. The ranks of a
// job share the batches. Throws std::runtime_error naming the file where it is no discriminator of such
// images.
std::vector<float> discriminator_scores(Backend& backend, const std::filesystem::path& weights,
                                        const ImageSet& images, std::int64_t classes,
                                        std::span<const std::int32_t> labels, std::uint64_t seed);

} // namespace patchforge
