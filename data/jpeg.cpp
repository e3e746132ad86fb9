#include "data/jpeg.h"

#include <fmt/format.h>

#ifdef PATCHFORGE_JPEG
#include <turbojpeg.h>

#include <memory>
#endif

namespace patchforge {

namespace {

[[noreturn]] void damaged(const std::string& name, const std::string& what) {
    throw PictureError(name, fmt::format("damaged JPEG: {}", what));
}

void check_size(int width, int height, const std::string& name) {
    if (width < 1 || height < 1 || std::int64_t{width} * height > max_picture_pixels) {
        damaged(name, fmt::format("{} x {} is outside the limits", width, height));
    }
}

/// SOF0 … SOF15 but for DHT, JPG and DAC, which lie between them.
bool is_frame_header(std::uint8_t marker) {
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

} // namespace

bool is_jpeg(std::span<const std::uint8_t> bytes) {
    return bytes.size() >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

std::optional<PictureSize> find_jpeg_size(std::span<const std::uint8_t> head,
                                          const std::string& name) {
    // Segments: 0xff, marker, 16-bit length that counts itself, content. Ahead of the frame header
    // every marker has a length but TEM and the restarts.
    for (std::size_t at = 2; at + 4 <= head.size();) {
        if (head[at] != 0xff) {
            damaged(name, "no marker where one is due");
        }
        const std::uint8_t marker = head[at + 1];
        if (marker == 0xff) { // padding
            ++at;
            continue;
        }
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) {
            at += 2;
            continue;
        }
        if (is_frame_header(marker)) {
            if (at + 10 > head.size()) {
                return std::nullopt;
            }
            const int height = head[at + 5] << 8 | head[at + 6];
            const int width = head[at + 7] << 8 | head[at + 8];
            check_size(width, height, name);
            return PictureSize{width, height, head[at + 9] == 1};
        }
        at += 2 + (std::size_t{head[at + 2]} << 8 | head[at + 3]);
    }
    return std::nullopt;
}

#ifdef PATCHFORGE_JPEG

bool reads_jpeg() {
    return true;
}

Image decode_jpeg(std::span<const std::uint8_t> bytes, int channels, const std::string& name) {
    check_channels(channels);
    const std::unique_ptr<void, decltype(&tjDestroy)> decoder(tjInitDecompress(), &tjDestroy);
    if (!decoder) {
        throw std::bad_alloc();
    }
    int width = 0;
    int height = 0;
    int sampling = 0;
    int colours = 0;
    if (tjDecompressHeader3(decoder.get(), bytes.data(), bytes.size(), &width, &height, &sampling,
                            &colours) != 0) {
        damaged(name, tjGetErrorStr2(decoder.get()));
    }
    check_size(width, height, name);
    // A block of 64 pixels takes a bit at least: a small file cannot hold a large picture, so a
    // header that claims one takes no memory.
    if (std::int64_t{width} * height / 512 > static_cast<std::int64_t>(bytes.size())) {
        damaged(name, "too few bytes for its size");
    }
    if (colours == TJCS_CMYK || colours == TJCS_YCCK) {
        throw PictureError(name, "a JPEG of printing colours (CMYK); save it as RGB");
    }
    const int samples = colours == TJCS_GRAY ? 1 : 3;
    std::vector<std::uint8_t> interleaved(static_cast<std::size_t>(width) * height * samples);
    if (tjDecompress2(decoder.get(), bytes.data(), bytes.size(), interleaved.data(), width, 0,
                      height, samples == 1 ? TJPF_GRAY : TJPF_RGB,
                      TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS) != 0) {
        damaged(name, tjGetErrorStr2(decoder.get()));
    }
    return planar(interleaved.data(), width, height, samples, channels);
}

#else

bool reads_jpeg() {
    return false;
}

Image decode_jpeg(std::span<const std::uint8_t>, int channels, const std::string& name) {
    check_channels(channels);
    throw PictureError(name, "a JPEG, which this program was built without; install TurboJPEG "
                             "(libturbojpeg0-dev) and build it again");
}

#endif

} // namespace patchforge
