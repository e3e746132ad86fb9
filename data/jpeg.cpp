#include "data/jpeg.h"

#include "data/exif_orientation.h"

#include <fmt/format.h>

#include <utility>

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

/// What comes ahead of the data.
struct Head {
    PictureSize size; // as it is stored
    int orientation = 1;
};

std::optional<Head> find_head(std::span<const std::uint8_t> bytes, const std::string& name) {
    Head found;
    // Segments: 0xff, marker, 16-bit length that counts itself, content. Ahead of the frame header
    // every marker has a length but TEM and the restarts.
    for (std::size_t at = 2; at + 4 <= bytes.size();) {
        if (bytes[at] != 0xff) {
            damaged(name, "no marker where one is due");
        }
        const std::uint8_t marker = bytes[at + 1];
        if (marker == 0xff) { // padding
            ++at;
            continue;
        }
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) {
            at += 2;
            continue;
        }
        if (is_frame_header(marker)) {
            if (at + 10 > bytes.size()) {
                return std::nullopt;
            }
            const int height = bytes[at + 5] << 8 | bytes[at + 6];
            const int width = bytes[at + 7] << 8 | bytes[at + 8];
            check_size(width, height, name);
            found.size = {width, height, bytes[at + 9] == 1};
            return found;
        }
        const std::size_t length = std::size_t{bytes[at + 2]} << 8 | bytes[at + 3];
        if (marker == 0xe1 && found.orientation == 1 && length >= 2 &&
            at + 2 + length <= bytes.size()) {
            found.orientation = exif_orientation(bytes.subspan(at + 4, length - 2));
        }
        at += 2 + length;
    }
    return std::nullopt;
}

} // namespace

bool is_jpeg(std::span<const std::uint8_t> bytes) {
    return bytes.size() >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

std::optional<PictureSize> find_jpeg_size(std::span<const std::uint8_t> head,
                                          const std::string& name) {
    std::optional<Head> found = find_head(head, name);
    if (!found) {
        return std::nullopt;
    }
    if (lies_on_its_side(found->orientation)) {
        std::swap(found->size.width, found->size.height);
    }
    return found->size;
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
    const std::optional<Head> head = find_head(bytes, name);
    return upright(planar(interleaved.data(), width, height, samples, channels),
                   head ? head->orientation : 1);
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
