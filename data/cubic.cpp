#include "data/cubic.h"

#include <algorithm>
#include <cmath>

namespace patchforge {

namespace {

double keys(double x, double a) {
    x = std::fabs(x);
    return x <= 1  ? ((a + 2) * x - (a + 3)) * x * x + 1
           : x < 2 ? (((x - 5) * x + 8) * x - 4) * a
                   : 0;
}

int inside(int at, int size, CubicBorder border) {
    if (border == CubicBorder::clamped) {
        return std::clamp(at, 0, size - 1);
    }
    const int turned = ((at % (2 * size)) + 2 * size) % (2 * size);
    return turned < size ? turned : 2 * size - 1 - turned;
}

/// Weights as 22-bit fixed point, as PIL has them: the sums are exact, and so is every rounding.
constexpr int fraction = 22;

std::uint8_t to_byte(double value) {
    return static_cast<std::uint8_t>(std::clamp(std::floor(value + 0.5), 0.0, 255.0));
}

double fixed_point(double weight) {
    return std::trunc(weight * (1 << fraction) + (weight < 0 ? -0.5 : 0.5)) / (1 << fraction);
}

} // namespace

std::vector<std::vector<CubicTap>> cubic_taps(int in, int out, const CubicRule& rule) {
    if (in < 1 || out < 1) {
        throw std::invalid_argument("cubic_taps: a picture has at least one pixel a side");
    }
    const double scale = static_cast<double>(in) / out;
    const double stretch = rule.stretched ? std::max(scale, 1.0) : 1.0;
    std::vector<std::vector<CubicTap>> taps(static_cast<std::size_t>(out));
    for (int i = 0; i < out; ++i) {
        const double centre = (i + 0.5) * scale;
        const int first = static_cast<int>(std::floor(centre - 2 * stretch + 0.5));
        const int last = static_cast<int>(std::floor(centre + 2 * stretch + 0.5));
        std::vector<CubicTap>& of_pixel = taps[static_cast<std::size_t>(i)];
        double sum = 0;
        for (int j = first; j < last; ++j) {
            if (rule.border == CubicBorder::dropped && (j < 0 || j >= in)) {
                continue;
            }
            const double weight = keys((j + 0.5 - centre) / stretch, rule.a);
            of_pixel.push_back(
                {rule.border == CubicBorder::dropped ? j : inside(j, in, rule.border), weight});
            sum += weight;
        }
        for (CubicTap& tap : of_pixel) {
            tap.weight /= sum;
        }
    }
    return taps;
}

Image resize_cubic(const Image& image, int width, int height, const CubicRule& rule) {
    auto columns = cubic_taps(image.width, width, rule);
    auto rows = cubic_taps(image.height, height, rule);
    if (rule.rounds_between) {
        for (auto* taps : {&columns, &rows}) {
            for (std::vector<CubicTap>& of_pixel : *taps) {
                for (CubicTap& tap : of_pixel) {
                    tap.weight = fixed_point(tap.weight);
                }
            }
        }
    }
    Image result{width, height, image.channels, {}};
    result.pixels.reserve(static_cast<std::size_t>(width) * height * image.channels);
    std::vector<double> lines(static_cast<std::size_t>(width) * image.height);
    for (int c = 0; c < image.channels; ++c) {
        for (int y = 0; y < image.height; ++y) {
            const std::uint8_t* line =
                image.pixels.data() +
                (static_cast<std::size_t>(c) * image.height + y) * image.width;
            for (int x = 0; x < width; ++x) {
                double sum = 0;
                for (const CubicTap& tap : columns[static_cast<std::size_t>(x)]) {
                    sum += tap.weight * line[tap.input];
                }
                lines[static_cast<std::size_t>(y) * width + x] =
                    rule.rounds_between ? to_byte(sum) : sum;
            }
        }
        for (const std::vector<CubicTap>& row : rows) {
            for (int x = 0; x < width; ++x) {
                double sum = 0;
                for (const CubicTap& tap : row) {
                    sum += tap.weight * lines[static_cast<std::size_t>(tap.input) * width + x];
                }
                result.pixels.push_back(to_byte(sum));
            }
        }
    }
    return result;
}

} // namespace patchforge
