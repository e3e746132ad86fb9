// Patches of random bytes, the same for the same seed on every machine.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "host/train/batches.h"

namespace patchforge::testing {

struct RandomPatches {
    std::vector<std::uint8_t> bytes;
    std::vector<std::int32_t> labels; // in [0, classes); empty without classes
    PatchRows rows;                   // of both

    RandomPatches(unsigned seed, std::int64_t count, int channels, int height, int width,
                  unsigned classes = 0)
        : bytes(static_cast<std::size_t>(count * channels * height * width)),
          labels(classes > 0 ? static_cast<std::size_t>(count) : 0) {
        std::mt19937 engine(seed);
        for (std::uint8_t& byte : bytes) {
            byte = static_cast<std::uint8_t>(engine());
        }
        for (std::int32_t& label : labels) {
            label = static_cast<std::int32_t>(engine() % classes);
        }
        rows = {bytes.data(), count, channels, height, width, labels, {}};
    }
    RandomPatches(const RandomPatches&) = delete;
    RandomPatches& operator=(const RandomPatches&) = delete;
};

} // namespace patchforge::testing
