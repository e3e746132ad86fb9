#pragma once

#include "data/atomic_file.h"
#include "data/picture.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace patchforge {

/// True when the bytes begin with the signature of a PNG file.
bool is_png(std::span<const std::uint8_t> bytes);

/// Reads every PNG colour type, bit depth (1-16), interlacing, palette and transparency into 8
/// bits. 16-bit samples are rounded (v / 257); transparency is composited over white on the
/// stored values; gamma and colour profiles are ignored, as PyTorch's and PIL's readers do.
/// `channels` 3 gives RGB, 1 gives grey: 0.299 R + 0.587 G + 0.114 B, rounded (ITU-R BT.601).
/// `name` is what errors call the file. Throws PictureError, or std::invalid_argument when channels
/// is neither.
Image decode_png(std::span<const std::uint8_t> bytes, int channels, const std::string& name);

/// From the first 33 bytes of a PNG file, of which `head` holds as many as there are.
PictureSize png_size(std::span<const std::uint8_t> head, const std::string& name);

/// RGB or grey 8-bit PNG. The same image gives the same bytes. Throws std::invalid_argument for what is no picture.
std::vector<std::uint8_t> encode_png(const Image& image);

/// encode_png to a file that appears whole or not at all.
void write_png(const std::filesystem::path& path, const Image& image,
               OnDisk on_disk = OnDisk::at_commit);

} // namespace patchforge
