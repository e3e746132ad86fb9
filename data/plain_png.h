#pragma once

#include "data/big_endian.h"
#include "data/picture.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace patchforge {

/// The PNG files that patches commonly are, and all that patchforge writes: 8 bits, RGB or grey, not interlaced, no
/// transparency. Read and written without libpng, in one piece.

constexpr std::uint8_t png_signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

/// In what is written, ahead of the rows: a chunk of text, "Software: patchforge".
constexpr std::string_view png_mark{"tEXtSoftware\0patchforge", 23};

/// All checksums are checked. False, with `image` in no particular state, for any other file and wherever
/// anything is odd: decode_png then reads it with libpng, or says what is wrong.
bool decode_plain_png(std::span<const std::uint8_t> bytes, int channels, Image& image);

/// Of a picture with 1 or 3 planes of width * height bytes, at least 1 x 1. Each row takes the filter that leaves the
/// least sum of absolute values (PNG, second edition, 12.8).
std::vector<std::uint8_t> encode_plain_png(const Image& image);

} // namespace patchforge
