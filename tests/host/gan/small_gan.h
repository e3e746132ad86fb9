// A GAN small enough to be trained many times in a test, and patches for it.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "host/gan/gan_trainer.h"

namespace patchforge::testing {

constexpr unsigned small_gan_seed = 57;
constexpr std::int64_t small_gan_pixels = 35;

// Two kinds of patches, dark and bright, with noise: something that can be learned.
struct Patches {
    std::vector<std::uint8_t> bytes;
    std::vector<std::int32_t> labels;
    PatchRows rows;

    explicit Patches(std::int64_t count) {
        std::mt19937 engine(small_gan_seed);
        for (std::int64_t i = 0; i < count; ++i) {
            labels.push_back(static_cast<std::int32_t>(i % 2));
            for (std::int64_t j = 0; j < small_gan_pixels; ++j) {
                bytes.push_back(static_cast<std::uint8_t>((i % 2 ? 150 : 40) + engine() % 60));
            }
        }
        rows = {bytes.data(), count, 1, 5, 7, labels, {}};
    }
};

inline GanOptions small_options() {
    GanOptions options;
    options.batch_size = 4;
    options.latent_dim = 5;
    options.hidden_dims = {33, 16};
    options.seed = small_gan_seed;
    options.steps = 100;
    return options;
}

} // namespace patchforge::testing
