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

/// Picture i of many of one size that lie one behind the other.
inline Image picture_at(const std::uint8_t* bytes, std::int64_t i, int channels, int height,
                        int width) {
    const std::int64_t size = std::int64_t{channels} * height * width;
    return {width, height, channels, {bytes + i * size, bytes + (i + 1) * size}};
}

/// True when the planes are equal, or there is one.
bool is_grey(const Image& image);

/// 0.299 R + 0.587 G + 0.114 B, rounded (ITU-R BT.601): weights in 1/65536 that sum to 65536, so
/// white stays 255.
inline std::uint8_t grey_of(int red, int green, int blue) {
    return static_cast<std::uint8_t>((red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16);
}

/// A picture that cannot be read. `what()` names the file, the reason and what to do; `reason()` is
/// the middle part alone, for counting.
class PictureError : public std::runtime_error {
  public:
    PictureError(const std::string& name, const std::string& reason);
    const std::string& reason() const { return reason_; }

  private:
    std::string reason_;
};

/// What the head of a file says of the picture in it.
struct PictureSize {
    int width = 0;
    int height = 0;
    bool grey = false; ///< stored with one colour channel; others may be grey all the same
    bool operator==(const PictureSize& other) const {
        return width == other.width && height == other.height;
    }
};

/// Larger pictures are refused before memory is taken for them: 2^25 pixels, e.g. 8192 x 4096.
constexpr std::int64_t max_picture_pixels = std::int64_t{1} << 25;
constexpr std::int64_t max_picture_file_bytes = std::int64_t{1} << 28;

/// Reads a PNG, a JPEG or an array of one picture (`.npy`), told by its first bytes, whatever it is
/// named. `channels` 3 gives RGB, 1 gives grey. Throws PictureError, or std::invalid_argument when
/// channels is neither.
Image read_picture(const std::filesystem::path& path, int channels = 3);

/// The same, of this size alone: std::runtime_error says what the picture is and, after `who`, what is
/// wanted ("the model takes").
Image read_picture_of_size(const std::filesystem::path& path, int channels, int width, int height,
                           const std::string& who);

/// read_picture from memory; `name` is what errors call it.
Image decode_picture(std::span<const std::uint8_t> bytes, int channels, const std::string& name);

/// From the head of the file, without decoding. Throws PictureError.
PictureSize read_picture_size(const std::filesystem::path& path);

/// `count` pixels of interleaved samples, 1 (grey) or 3 (RGB) each, into the image's planes from pixel `first` on.
void store_pixels(Image& image, std::size_t first, const std::uint8_t* interleaved,
                  std::size_t count, int samples);

/// Planes of `channels` from interleaved samples of 1 (grey) or 3 (RGB) a pixel.
Image planar(const std::uint8_t* interleaved, int width, int height, int samples, int channels);

/// Throws std::invalid_argument unless channels is 1 or 3.
void check_channels(int channels);

} // namespace patchforge
