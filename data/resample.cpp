#include "data/resample.h"

#include <algorithm>
#include <cmath>

namespace patchforge {

namespace {

Image blank(const Image& like, int width, int height) {
    const std::size_t size = static_cast<std::size_t>(width) * height * like.channels;
    return {width, height, like.channels, std::vector<std::uint8_t>(size)};
}

/// Where one output sample lies between two input samples.
struct Tap {
    int low;
    int high;
    float weight; // of high
};

std::vector<Tap> taps(int in, int out) {
    std::vector<Tap> result(out);
    for (int i = 0; i < out; ++i) {
        const float at = std::max(0.0f, (static_cast<float>(i) + 0.5f) * static_cast<float>(in) /
                                                static_cast<float>(out) -
                                            0.5f);
        const int low = std::min(static_cast<int>(at), in - 1);
        result[i] = {low, std::min(low + 1, in - 1), at - static_cast<float>(low)};
    }
    return result;
}

} // namespace

Image pad_to(const Image& image, int width, int height) {
    Image out = blank(image, width, height);
    std::uint8_t* next = out.pixels.data();
    for (int c = 0; c < image.channels; ++c) {
        for (int y = 0; y < height; ++y) {
            const std::size_t row =
                static_cast<std::size_t>(c) * image.height + std::min(y, image.height - 1);
            const std::uint8_t* from = image.pixels.data() + row * image.width;
            for (int x = 0; x < width; ++x) {
                *next++ = from[std::min(x, image.width - 1)];
            }
        }
    }
    return out;
}

Image resize_to(const Image& image, int width, int height) {
    Image out = blank(image, width, height);
    const std::vector<Tap> columns = taps(image.width, width);
    const std::vector<Tap> rows = taps(image.height, height);
    std::uint8_t* next = out.pixels.data();
    for (int c = 0; c < image.channels; ++c) {
        const std::uint8_t* plane =
            image.pixels.data() + static_cast<std::size_t>(c) * image.height * image.width;
        for (const Tap& row : rows) {
            const std::uint8_t* above = plane + static_cast<std::size_t>(row.low) * image.width;
            const std::uint8_t* below = plane + static_cast<std::size_t>(row.high) * image.width;
            for (const Tap& column : columns) {
                const auto across = [&](const std::uint8_t* line) {
                    return line[column.low] +
                           column.weight * static_cast<float>(line[column.high] - line[column.low]);
                };
                const float top = across(above);
                const float value = top + row.weight * (across(below) - top);
                *next++ = static_cast<std::uint8_t>(std::lround(value));
            }
        }
    }
    return out;
}

Image halved_by_means(const Image& picture) {
    Image result{picture.width / 2, picture.height / 2, picture.channels, {}};
    for (int c = 0; c < picture.channels; ++c) {
        for (int y = 0; y < result.height; ++y) {
            const std::uint8_t* above =
                picture.pixels.data() +
                (static_cast<std::size_t>(c) * picture.height + 2 * y) * picture.width;
            const std::uint8_t* below = above + picture.width;
            for (int x = 0; x < result.width; ++x) {
                const int sum = above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1];
                result.pixels.push_back(static_cast<std::uint8_t>((sum + 2) / 4));
            }
        }
    }
    return result;
}

} // namespace patchforge
