#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace patchforge {

/// An 8-bit picture, planar: pixels[(channel * height + y) * width + x], the order in which
/// PyTorch flattens an image. Channels are red, green, blue or one grey.
struct Image {
    int width = 0;
    int height = 0;
    int channels = 0;
    std::vector<std::uint8_t> pixels;
};

/// A PNG that cannot be read. `what()` names the file, the reason and what to do; `reason()` is
/// the middle part alone, for counting.
class PngError : public std::runtime_error {
  public:
    PngError(const std::string& name, const std::string& reason);
    const std::string& reason() const { return reason_; }

  private:
    std::string reason_;
};

struct PngSize {
    int width = 0;
    int height = 0;
    bool operator==(const PngSize&) const = default;
};

/// Larger pictures are refused before memory is taken for them: 2^25 pixels, e.g. 8192 x 4096.
constexpr std::int64_t max_png_pixels = std::int64_t{1} << 25;
constexpr std::int64_t max_png_file_bytes = std::int64_t{1} << 28;

/// Reads every PNG colour type, bit depth (1-16), interlacing, palette and transparency into 8
/// bits. 16-bit samples are rounded (v / 257); transparency is composited over white on the
/// stored values; gamma and colour profiles are ignored, as PyTorch's and PIL's readers do.
/// `channels` 3 gives RGB, 1 gives grey: 0.299 R + 0.587 G + 0.114 B, rounded (ITU-R BT.601).
/// Throws PngError, or std::invalid_argument when channels is neither.
Image read_png(const std::filesystem::path& path, int channels = 3);

/// The same from memory; `name` is what errors call it.
Image decode_png(std::span<const std::uint8_t> bytes, int channels, const std::string& name);

/// Width and height from the first 33 bytes of the file. Throws PngError.
PngSize read_png_size(const std::filesystem::path& path);

/// RGB or grey 8-bit PNG. The same image gives the same bytes. `compression` is zlib's 1..9.
std::vector<std::uint8_t> encode_png(const Image& image, int compression = 6);

/// encode_png to a file that appears whole or not at all.
void write_png(const std::filesystem::path& path, const Image& image);

} // namespace patchforge
