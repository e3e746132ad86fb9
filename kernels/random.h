// Randomness as a function: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011) with
//     key     = (seed low, seed high)
//     counter = (element / 4, purpose, draw low, draw high)
// and element % 4 choosing one of the four words. No state is kept anywhere: a mask can be
// recomputed instead of stored, and a resumed run draws what the uninterrupted one would have.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace patchforge {

// What a draw is for. Streams of different purposes never share a counter. The numbers are part
// of a run's identity: a changed number changes every run, so new purposes take new numbers.
enum class Purpose : std::uint32_t {
    initial_weights = 1, // + 256 * tensor index
    shuffle = 2,
    latent_discriminator = 3,
    latent_generator = 4,
    dropout_discriminator_step = 16, // + layer
    dropout_generator_step = 48,     // + layer
    fixed_latent = 80,
    generate = 81,
    dropout_classifier = 96, // + layer
    attack = 128,            // + use within the attack
    augmentation = 160, // + use: 0 symmetries, 1 noise, 2 start, 3 stain, 4 translation, 5 cutout
    gradient_penalty = 176,
    instance_noise = 177,
    latent_label = 178,
    dequantisation = 179,
    wrong_class = 180,
    picture_noise = 192, // + layer; a draw a picture
    picture_pool = 240,  // + 0 and 1: of fakes of kind a and b
};

// A place where the recorded iteration finds how often it has run. `step` lies on the device; the
// counted value is *step * stride + offset, so that k uses within one iteration differ.
struct StepCount {
    const std::uint64_t* step = nullptr;
    std::uint32_t stride = 1;
    std::uint32_t offset = 0;

    PATCHFORGE_HOST_DEVICE std::uint64_t value() const {
        return (step ? *step : 0) * stride + offset;
    }
};

// One stream of random numbers; `draw.value()` selects the draw, the element selects the number.
struct RandomStream {
    std::uint64_t seed = 0;
    std::uint32_t purpose = 0;
    StepCount draw{};
};

// A uniform number in (0, 1): 2^-32 * word + 2^-33, as cuRAND does. The float32 rounding can give
// 1.0 exactly; see uniform_from_word's users for where that matters.
PATCHFORGE_HOST_DEVICE inline float uniform_from_word(std::uint32_t word) {
    return static_cast<float>(word) * 2.3283064365386963e-10f + 1.1641532182693481e-10f;
}

// Dropout keeps an element when its word is at least this. Computed in float64 so that the CPU and
// every GPU agree to the bit.
PATCHFORGE_HOST_DEVICE inline std::uint32_t dropout_threshold(float probability) {
    return static_cast<std::uint32_t>(static_cast<double>(probability) * 4294967296.0);
}

} // namespace patchforge
