// Small pictures for the tests: a disc on a ground, brighter and larger in class 1, with noise.
#pragma once

#include "host/evaluate/image_extractors.h"
#include "host/numerics/philox_sequence.h"

#include <algorithm>

namespace patchforge {

// `count` images of 3 x size x size, of classes 0 and 1 in turn. `shift` is added to every level.
inline ImageSet discs(std::int64_t count, int size, std::uint64_t seed, double shift = 0) {
    PhiloxSequence random(seed);
    ImageSet images{{3, size, size}, {}, {}};
    for (std::int64_t i = 0; i < count; ++i) {
        const auto label = static_cast<std::int32_t>(i % 2);
        const double x0 = size * (0.3 + 0.4 * random.uniform());
        const double y0 = size * (0.3 + 0.4 * random.uniform());
        const double radius = size * (label == 1 ? 0.4 : 0.2);
        const double ground = 100 + 60 * random.uniform();
        for (int c = 0; c < 3; ++c) {
            for (int y = 0; y < size; ++y) {
                for (int x = 0; x < size; ++x) {
                    const double distance = (x - x0) * (x - x0) + (y - y0) * (y - y0);
                    const double disc = distance < radius * radius ? 40 + 10 * c : 0;
                    const double level = ground + disc + 5 * random.normal() + shift;
                    images.bytes.push_back(
                        static_cast<std::uint8_t>(std::clamp(level, 0.0, 255.0)));
                }
            }
        }
        images.labels.push_back(label);
    }
    return images;
}

} // namespace patchforge
