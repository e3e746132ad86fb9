#include "data/picture.h"

#include "data/jpeg.h"
#include "data/npy.h"
#include "data/png.h"
#include "data/read_bytes.h"

#include <fmt/format.h>

#include <algorithm>

namespace patchforge {

namespace {

/// Enough for the header of a PNG or an array, and for a JPEG's up to its size unless a large
/// preview or colour profile comes first.
constexpr std::size_t head_bytes = std::size_t{1} << 12;

[[noreturn]] void no_picture(std::span<const std::uint8_t> bytes, const std::string& name) {
    throw PictureError(name, bytes.empty() ? "the file is empty"
                                           : "neither a PNG, a JPEG nor an array (.npy)");
}

} // namespace

PictureError::PictureError(const std::string& name, const std::string& reason)
    : std::runtime_error(fmt::format("{}: {}; replace the file or leave it out", name, reason)),
      reason_(reason) {}

bool is_grey(const Image& image) {
    const std::size_t plane = static_cast<std::size_t>(image.width) * image.height;
    const std::uint8_t* first = image.pixels.data();
    return image.channels == 1 || (std::equal(first, first + plane, first + plane) &&
                                   std::equal(first, first + plane, first + 2 * plane));
}

void check_channels(int channels) {
    if (channels != 1 && channels != 3) {
        throw std::invalid_argument(fmt::format(
            "channels: {} is neither 1 (grey) nor 3 (RGB); choose one of them", channels));
    }
}

void store_pixels(Image& image, std::size_t first, const std::uint8_t* interleaved,
                  std::size_t count, int samples) {
    const std::size_t plane = static_cast<std::size_t>(image.width) * image.height;
    for (int c = 0; c < image.channels; ++c) {
        std::uint8_t* const to = image.pixels.data() + c * plane + first;
        const std::uint8_t* from = interleaved + (samples == 1 ? 0 : c);
        const bool mixed = image.channels < samples;
        for (std::size_t i = 0; i < count; ++i, from += samples) {
            to[i] = mixed ? grey_of(from[0], from[1], from[2]) : from[0];
        }
    }
}

Image planar(const std::uint8_t* interleaved, int width, int height, int samples, int channels) {
    Image image{width, height, channels, {}};
    const std::size_t pixels = static_cast<std::size_t>(width) * height;
    image.pixels.resize(pixels * channels);
    store_pixels(image, 0, interleaved, pixels, samples);
    return image;
}

Image decode_picture(std::span<const std::uint8_t> bytes, int channels, const std::string& name) {
    if (is_png(bytes)) {
        return decode_png(bytes, channels, name);
    }
    if (is_jpeg(bytes)) {
        return decode_jpeg(bytes, channels, name);
    }
    if (is_npy(bytes)) {
        return decode_npy_picture(bytes, channels, name);
    }
    no_picture(bytes, name);
}

Image read_picture(const std::filesystem::path& path, int channels) {
    thread_local std::vector<std::uint8_t> bytes; // packing reads 300,000 small files in a row
    read_bytes(path, max_picture_file_bytes, bytes);
    Image image = decode_picture(bytes, channels, path.string());
    if (bytes.capacity() > (1u << 22)) {
        std::vector<std::uint8_t>().swap(bytes);
    }
    return image;
}

Image read_picture_of_size(const std::filesystem::path& path, int channels, int width, int height,
                           const std::string& who) {
    Image image = read_picture(path, channels);
    if (image.width != width || image.height != height) {
        throw std::runtime_error(
            fmt::format("{}: is {} x {}, {} {} x {}; give pictures of that size", path.string(),
                        image.width, image.height, who, width, height));
    }
    return image;
}

PictureSize read_picture_size(const std::filesystem::path& path) {
    thread_local std::vector<std::uint8_t> bytes;
    const std::string name = path.string();
    try {
        read_head(path, head_bytes, bytes);
        if (is_png(bytes)) {
            return png_size(bytes, name);
        }
        if (is_npy(bytes)) {
            return npy_picture_size(bytes, name);
        }
        if (is_jpeg(bytes)) {
            if (const auto size = find_jpeg_size(bytes, name)) {
                return *size;
            }
            read_bytes(path, max_picture_file_bytes, bytes);
            if (const auto size = find_jpeg_size(bytes, name)) {
                return *size;
            }
            throw PictureError(name, "damaged JPEG: no complete header");
        }
    } catch (const FileError& error) {
        throw PictureError(name, error.reason());
    }
    no_picture(bytes, name);
}

} // namespace patchforge
