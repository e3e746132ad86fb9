#include "data/png.h"

#include "data/plain_png.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

namespace patchforge {

namespace {

/// libpng reports errors by longjmp, which skips destructors. So everything that owns memory lives
/// here, outside the functions that call setjmp, and those functions hold plain values only.
struct Decoder {
    png_structp png = nullptr;
    png_infop info = nullptr;
    std::span<const std::uint8_t> input;
    std::size_t position = 0;
    char reason[160] = {};

    std::vector<std::uint8_t> samples; // interleaved: one row, or the whole picture if interlaced
    std::vector<png_bytep> rows;       // interlaced pictures only
    Image image;

    Decoder() = default;
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;
    ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
    auto* reason = static_cast<char*>(png_get_error_ptr(png));
    std::snprintf(reason, sizeof(Decoder::reason), "%s", message);
    png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep target, png_size_t count) {
    auto& decoder = *static_cast<Decoder*>(png_get_io_ptr(png));
    if (count > decoder.input.size() - decoder.position) {
        png_error(png, "the file ends early");
    }
    std::memcpy(target, decoder.input.data() + decoder.position, count);
    decoder.position += count;
}

/// Over white: the colour's share alpha, white's share 1 - alpha, rounded to nearest.
std::uint8_t over_white(std::uint8_t value, std::uint8_t alpha) {
    return static_cast<std::uint8_t>((value * alpha + 255 * (255 - alpha) + 127) / 255);
}

/// One interleaved row of 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) samples a pixel into row y
/// of the planar image.
void store_row(Image& image, int y, std::uint8_t* row, int samples) {
    const int colours = samples <= 2 ? 1 : 3;
    for (int x = 0; x < image.width && samples != colours; ++x) {
        const std::uint8_t alpha = row[x * samples + colours];
        for (int c = 0; c < colours; ++c) {
            row[x * colours + c] = over_white(row[x * samples + c], alpha);
        }
    }
    const auto width = static_cast<std::size_t>(image.width);
    store_pixels(image, static_cast<std::size_t>(y) * width, row, width, colours);
}

/// False on error, with decoder.reason filled.
bool decode_guarded(Decoder& decoder, int channels) {
    png_structp png = decoder.png;
    png_infop info = decoder.info;
    if (setjmp(png_jmpbuf(png))) {
        return false;
    }
    png_set_read_fn(png, &decoder, on_read);
    // Text and profile chunks are of no use here and must not be able to fill the memory.
    png_set_chunk_malloc_max(png, 1 << 22);
    png_set_user_limits(png, 1 << 16, 1 << 16);
    png_read_info(png, info);

    const auto width = static_cast<std::int64_t>(png_get_image_width(png, info));
    const auto height = static_cast<std::int64_t>(png_get_image_height(png, info));
    if (width * height > max_picture_pixels) {
        png_error(png, "more pixels than the limit of 2^25");
    }
    // Deflate shrinks at most 1032 times: a small file cannot hold a large picture, so a header
    // that claims one takes no memory.
    const std::size_t packed_bytes = png_get_rowbytes(png, info) * static_cast<std::size_t>(height);
    if (packed_bytes / 1032 > decoder.input.size()) {
        png_error(png, "too few bytes for its size");
    }
    png_set_expand(png); // palette to RGB, 1-4 bits to 8, tRNS to alpha
    png_set_scale_16(png);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);

    const int samples = png_get_channels(png, info);
    const std::size_t row_bytes = png_get_rowbytes(png, info);
    Image& image = decoder.image;
    image.width = static_cast<int>(width);
    image.height = static_cast<int>(height);
    image.channels = channels;
    image.pixels.resize(static_cast<std::size_t>(width * height * channels));
    if (passes == 1) {
        decoder.samples.resize(row_bytes);
        for (int y = 0; y < image.height; ++y) {
            png_read_row(png, decoder.samples.data(), nullptr);
            store_row(image, y, decoder.samples.data(), samples);
        }
    } else {
        decoder.samples.resize(row_bytes * image.height);
        decoder.rows.resize(image.height);
        for (int y = 0; y < image.height; ++y) {
            decoder.rows[y] = decoder.samples.data() + row_bytes * y;
        }
        png_read_image(png, decoder.rows.data());
        for (int y = 0; y < image.height; ++y) {
            store_row(image, y, decoder.rows[y], samples);
        }
    }
    png_read_end(png, nullptr); // checks the last chunk's sum and that the end is there
    return true;
}

} // namespace

bool is_png(std::span<const std::uint8_t> bytes) {
    return bytes.size() >= sizeof png_signature &&
           std::memcmp(bytes.data(), png_signature, sizeof png_signature) == 0;
}

Image decode_png(std::span<const std::uint8_t> bytes, int channels, const std::string& name) {
    check_channels(channels);
    if (!is_png(bytes)) {
        throw PictureError(name, bytes.empty() ? "the file is empty" : "not a PNG file");
    }
    if (Image image; decode_plain_png(bytes, channels, image)) {
        return image;
    }
    Decoder decoder;
    decoder.input = bytes;
    decoder.png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, decoder.reason, on_error, on_warning);
    decoder.info = decoder.png ? png_create_info_struct(decoder.png) : nullptr;
    if (!decoder.info) {
        throw std::bad_alloc();
    }
    if (!decode_guarded(decoder, channels)) {
        throw PictureError(name, fmt::format("damaged PNG: {}", decoder.reason));
    }
    return std::move(decoder.image);
}

PictureSize png_size(std::span<const std::uint8_t> head, const std::string& name) {
    if (!is_png(head)) {
        throw PictureError(name, head.empty() ? "the file is empty" : "not a PNG file");
    }
    if (head.size() < 33 || std::memcmp(head.data() + 12, "IHDR", 4) != 0) {
        throw PictureError(name, "damaged PNG: no complete header");
    }
    const std::uint32_t width = big_endian(head.data() + 16);
    const std::uint32_t height = big_endian(head.data() + 20);
    if (width == 0 || height == 0 || width > (1u << 16) || height > (1u << 16) ||
        std::int64_t{width} * height > max_picture_pixels) {
        throw PictureError(
            name, fmt::format("damaged PNG: {} x {} is outside the limits", width, height));
    }
    const std::uint8_t colour_type = head[25];
    return {static_cast<int>(width), static_cast<int>(height),
            colour_type == PNG_COLOR_TYPE_GRAY || colour_type == PNG_COLOR_TYPE_GRAY_ALPHA};
}

std::vector<std::uint8_t> encode_png(const Image& image) {
    const bool sizes_fit = image.width > 0 && image.height > 0 &&
                           (image.channels == 1 || image.channels == 3) &&
                           image.pixels.size() == static_cast<std::size_t>(image.width) *
                                                      image.height * image.channels;
    if (!sizes_fit) {
        throw std::invalid_argument(
            fmt::format("image: {} x {} with {} channels and {} bytes is not a picture; give 1 or "
                        "3 planes of width * height bytes",
                        image.width, image.height, image.channels, image.pixels.size()));
    }
    return encode_plain_png(image);
}

void write_png(const std::filesystem::path& path, const Image& image, OnDisk on_disk) {
    write_file_atomically(path, encode_png(image), on_disk);
}

} // namespace patchforge
