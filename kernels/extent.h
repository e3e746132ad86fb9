// The size of a picture. A row of a matrix [B, channels * height * width] holds one, channel by
// channel, each channel's lines from the top (NCHW).
#pragma once

#include <cstdint>

namespace patchforge {

struct Extent {
    int channels = 0;
    int height = 0;
    int width = 0;

    std::int64_t plane() const { return std::int64_t{height} * width; } // elements of a channel
    std::int64_t size() const { return channels * plane(); }

    friend bool operator==(const Extent&, const Extent&) = default;
};

} // namespace patchforge
