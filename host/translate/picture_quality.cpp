#include "host/translate/picture_quality.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace patchforge {

namespace {

constexpr int window = 11;

std::array<double, window> gaussian() {
    std::array<double, window> weights{};
    double sum = 0;
    for (int k = 0; k < window; ++k) {
        const double x = k - window / 2;
        weights[k] = std::exp(-x * x / (2 * 1.5 * 1.5));
        sum += weights[k];
    }
    for (double& weight : weights) {
        weight /= sum;
    }
    return weights;
}

// Means over whole windows: [height - 10, width - 10].
std::vector<double> windowed(const std::vector<double>& values, int height, int width) {
    static const std::array<double, window> weights = gaussian();
    const int columns = width - window + 1, rows = height - window + 1;
    std::vector<double> lines(static_cast<std::size_t>(height) * columns);
    for (int y = 0; y < height; ++y) {
        for (int k = 0; k < window; ++k) {
            const double* line = values.data() + static_cast<std::size_t>(y) * width + k;
            for (int x = 0; x < columns; ++x) {
                lines[static_cast<std::size_t>(y) * columns + x] += weights[k] * line[x];
            }
        }
    }
    std::vector<double> result(static_cast<std::size_t>(rows) * columns);
    for (int y = 0; y < rows; ++y) {
        for (int k = 0; k < window; ++k) {
            const double* line = lines.data() + static_cast<std::size_t>(y + k) * columns;
            for (int x = 0; x < columns; ++x) {
                result[static_cast<std::size_t>(y) * columns + x] += weights[k] * line[x];
            }
        }
    }
    return result;
}

double decibels(double error) {
    return -10 * std::log10(error);
}

std::vector<double> unit(const Image& picture) {
    std::vector<double> values;
    values.reserve(picture.pixels.size());
    for (const std::uint8_t byte : picture.pixels) {
        values.push_back(byte / 255.0);
    }
    return values;
}

} // namespace

std::vector<double> luma(const Image& picture) {
    const std::vector<double> colours = unit(picture);
    if (picture.channels == 1) {
        return colours;
    }
    const std::size_t plane = colours.size() / 3;
    std::vector<double> y(plane);
    for (std::size_t i = 0; i < plane; ++i) {
        y[i] = (65.481 * colours[i] + 128.553 * colours[plane + i] +
                24.966 * colours[2 * plane + i] + 16) /
               255;
    }
    return y;
}

double mean_squared_error(std::span<const double> a, std::span<const double> b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return sum / static_cast<double>(a.size());
}

double psnr(std::span<const double> a, std::span<const double> b) {
    return decibels(mean_squared_error(a, b));
}

double ssim(std::span<const double> a, std::span<const double> b, int height, int width) {
    if (std::min(height, width) < window) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    std::vector<double> aa, bb, ab;
    for (std::size_t i = 0; i < a.size(); ++i) {
        aa.push_back(a[i] * a[i]);
        bb.push_back(b[i] * b[i]);
        ab.push_back(a[i] * b[i]);
    }
    const auto mean_a = windowed({a.begin(), a.end()}, height, width);
    const auto mean_b = windowed({b.begin(), b.end()}, height, width);
    const auto mean_aa = windowed(aa, height, width), mean_bb = windowed(bb, height, width);
    const auto mean_ab = windowed(ab, height, width);
    constexpr double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;
    double sum = 0;
    for (std::size_t i = 0; i < mean_a.size(); ++i) {
        const double product = mean_a[i] * mean_b[i];
        const double squares = mean_a[i] * mean_a[i] + mean_b[i] * mean_b[i];
        sum += (2 * product + c1) * (2 * (mean_ab[i] - product) + c2) /
               ((squares + c1) * (mean_aa[i] + mean_bb[i] - squares + c2));
    }
    return sum / static_cast<double>(mean_a.size());
}

PictureQuality picture_quality(const std::vector<Image>& made, const std::vector<Image>& wanted) {
    if (made.empty() || made.size() != wanted.size()) {
        throw std::invalid_argument("picture_quality: give as many pictures as there should be");
    }
    constexpr double of_equal_pictures = 100; // decibels
    PictureQuality quality;
    double mean_error = 0;
    for (std::size_t i = 0; i < made.size(); ++i) {
        const int height = wanted[i].height, width = wanted[i].width;
        if (made[i].height != height || made[i].width != width ||
            made[i].channels != wanted[i].channels) {
            throw std::invalid_argument("picture_quality: pictures of different sizes");
        }
        const std::vector<double> a = unit(made[i]), b = unit(wanted[i]);
        const double error = mean_squared_error(a, b);
        mean_error += error;
        quality.equal += error == 0;
        quality.psnr += error == 0 ? of_equal_pictures : decibels(error);
        const std::size_t plane = static_cast<std::size_t>(height) * width;
        for (int c = 0; c < wanted[i].channels; ++c) {
            const auto channel = [&](const std::vector<double>& values) {
                return std::span(values).subspan(static_cast<std::size_t>(c) * plane, plane);
            };
            quality.ssim += ssim(channel(a), channel(b), height, width) / wanted[i].channels;
        }
        const std::vector<double> ya = luma(made[i]), yb = luma(wanted[i]);
        const double error_y = mean_squared_error(ya, yb);
        quality.psnr_y += error_y == 0 ? of_equal_pictures : decibels(error_y);
        quality.ssim_y += ssim(ya, yb, height, width);
    }
    const auto count = static_cast<double>(made.size());
    quality.psnr /= count;
    quality.ssim /= count;
    quality.psnr_y /= count;
    quality.ssim_y /= count;
    quality.psnr_of_mean = decibels(mean_error / count);
    return quality;
}

} // namespace patchforge
