// Whether a search in the latent space still draws from what the generator makes, or paints what it never
// would: the pictures of searched codes against other fakes, beside those of the same codes before the search.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "host/distance/frechet_distance.h"
#include "host/evaluate/image_extractors.h"
#include "host/model/image_generator.h"

namespace patchforge {

struct SearchedDistance {
    // Fréchet distance to as many fakes of other codes, in the leading principal components of the
    // pixels of further fakes, so that none of the sets that are compared has an advantage.
    double frechet_before = 0;
    double frechet_after = 0;
    // Of a code's numbers: 1 where they are drawn normal, 1/3 in [-1, 1].
    double mean_square_before = 0;
    double mean_square_after = 0;
};

inline double mean_square_of(const ImageGenerator& generator, const std::vector<float>& codes) {
    const auto width = static_cast<std::size_t>(generator.latent_dim());
    const std::size_t numbers = width - generator.format().classes.size();
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < codes.size(); ++i) {
        if (i % width < numbers) { // a class is no number
            sum += double{codes[i]} * codes[i];
            ++count;
        }
    }
    return sum / count;
}

struct MadePictures {
    const std::vector<float>& codes;
    const std::vector<std::uint8_t>& bytes; // of the pictures that the generator makes of them
};

// As many codes before the search as after it, at least two.
inline SearchedDistance searched_distance(ImageGenerator& generator, const MadePictures& before,
                                          const MadePictures& after, std::uint64_t seed,
                                          int threads) {
    const auto pictures = [&](const std::vector<std::uint8_t>& bytes) {
        return ImageSet{generator.format().extent(), bytes, {}};
    };
    const auto made = [&](std::int64_t count, std::uint64_t of_seed) {
        return pictures(generator.bytes(generator.latents(count, of_seed)));
    };
    const std::int64_t count = std::ssize(before.codes) / generator.latent_dim();
    const FeatureExtractor extractor =
        pixel_extractor(made(std::max(count, images_for_components), seed + 1), seed, threads);
    const Features fakes = extractor.features(made(count, seed + 2));
    const auto distance = [&](const std::vector<std::uint8_t>& bytes) {
        return frechet_distance(fakes, extractor.features(pictures(bytes)), threads);
    };
    return {distance(before.bytes), distance(after.bytes), mean_square_of(generator, before.codes),
            mean_square_of(generator, after.codes)};
}

} // namespace patchforge
