// The size of a picture. A row of a matrix [B, channels * height * width] holds one, channel by
// channel, each channel's lines from the top (NCHW). Below 2^31 elements.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/host_device.h"

namespace patchforge {

struct Extent {
    int channels = 0;
    int height = 0;
    int width = 0;

    PATCHFORGE_HOST_DEVICE std::int64_t plane() const { // elements of a channel
        return std::int64_t{height} * width;
    }
    PATCHFORGE_HOST_DEVICE std::int64_t size() const { return channels * plane(); }

    std::string text() const; // "3x50x50"

    friend bool operator==(const Extent&, const Extent&) = default;
};

} // namespace patchforge
