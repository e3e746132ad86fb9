#pragma once

#include "data/picture.h"

#include <cstdint>
#include <span>

namespace patchforge {

/// How a camera was held: tag 0x0112 of the first directory in the content of an APP1 segment (Exif 2.32, 4.6.4 A), 1 to
/// 8; 1, as it stands, where there is none or it cannot be read.
int exif_orientation(std::span<const std::uint8_t> segment);

/// Whether width and height change places.
constexpr bool lies_on_its_side(int orientation) {
    return orientation >= 5;
}

/// The picture as it was seen: turned and mirrored.
Image upright(Image image, int orientation);

} // namespace patchforge
