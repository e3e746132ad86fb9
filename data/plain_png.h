#pragma once

#include "data/picture.h"

#include <cstdint>
#include <span>

namespace patchforge {

/// Whether this program was built with libdeflate. Without it decode_plain_png leaves every file to libpng.
bool reads_plain_png();

/// The PNG files that patches commonly are: 8 bits, RGB or grey, not interlaced, no transparency. All
/// checksums are checked. False, with `image` in no particular state, for any other file and wherever
/// anything is odd: decode_png then reads it with libpng, or says what is wrong. Inflated in one piece
/// by libdeflate.
bool decode_plain_png(std::span<const std::uint8_t> bytes, int channels, Image& image);

} // namespace patchforge
