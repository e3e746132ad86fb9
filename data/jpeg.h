#pragma once

#include "data/picture.h"

#include <optional>

namespace patchforge {

/// Whether this program was built with TurboJPEG. Without it decode_jpeg refuses every file.
bool reads_jpeg();

/// True when the bytes begin as a JPEG file does.
bool is_jpeg(std::span<const std::uint8_t> bytes);

/// Baseline and progressive JPEG, grey or colour, by TurboJPEG with its accurate inverse transform
/// and smooth chroma upsampling, as PIL decodes them. Anything that the decoder warns of (an early
/// end, damaged data) is refused, as are CMYK pictures. Turned as its Exif orientation says: photographs from phones
/// lie on their sides otherwise. Throws PictureError.
Image decode_jpeg(std::span<const std::uint8_t> bytes, int channels, const std::string& name);

/// The size that the frame header and the orientation tell; nothing when `head`, the first bytes of a file, ends before
/// it. Throws PictureError for a header that makes no sense.
std::optional<PictureSize> find_jpeg_size(std::span<const std::uint8_t> head,
                                          const std::string& name);

} // namespace patchforge
