#include "data/exif_orientation.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace patchforge {

int exif_orientation(std::span<const std::uint8_t> segment) {
    constexpr std::string_view start{"Exif\0\0", 6};
    if (segment.size() < start.size() + 8 ||
        !std::equal(start.begin(), start.end(), segment.begin())) {
        return 1;
    }
    const std::span<const std::uint8_t> tiff =
        segment.subspan(start.size()); // offsets count from here
    const bool little = tiff[0] == 'I';
    const auto number = [&](std::size_t at, std::size_t bytes) { // 0 past the end
        std::size_t value = 0;
        for (std::size_t i = 0; i < bytes && at + bytes <= tiff.size(); ++i) {
            value |= std::size_t{tiff[at + i]} << 8 * (little ? i : bytes - 1 - i);
        }
        return value;
    };
    if (number(2, 2) != 42) {
        return 1;
    }
    const std::size_t directory = number(4, 4), entries = number(directory, 2);
    for (std::size_t i = 0; i < entries; ++i) { // 12 bytes: tag, type, count, value
        const std::size_t at = directory + 2 + 12 * i;
        if (number(at, 2) == 0x0112) {
            const std::size_t value = number(at + 8, 2);
            return number(at + 2, 2) == 3 && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
        }
    }
    return 1;
}

Image upright(Image image, int orientation) {
    if (orientation == 1) {
        return image;
    }
    const bool side = lies_on_its_side(orientation);
    const bool mirror_x = orientation == 2 || orientation == 3 || orientation >= 7;
    const bool mirror_y =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    const int width = image.width, height = image.height;
    Image turned{side ? height : width, side ? width : height, image.channels, {}};
    turned.pixels.reserve(image.pixels.size());
    for (int c = 0; c < image.channels; ++c) {
        for (int y = 0; y < turned.height; ++y) {
            for (int x = 0; x < turned.width; ++x) {
                const int across = side ? y : x,
                          down = side ? x : y; // in the picture that is stored
                const std::int64_t row =
                    std::int64_t{c} * height + (mirror_y ? height - 1 - down : down);
                turned.pixels.push_back(image.pixels[static_cast<std::size_t>(
                    row * width + (mirror_x ? width - 1 - across : across))]);
            }
        }
    }
    return turned;
}

} // namespace patchforge
