#include "host/evaluate/texture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <stdexcept>

#include "host/evaluate/binary_scores.h"

namespace patchforge {
namespace {

// Grey of picture i, [height, width].
std::vector<double> grey_of(const PictureBytes& pictures, std::int64_t i) {
    const std::int64_t plane = pictures.extent.plane();
    const std::uint8_t* const levels = pictures.bytes.data() + i * pictures.extent.size();
    std::vector<double> grey(static_cast<std::size_t>(plane));
    for (std::int64_t p = 0; p < plane; ++p) {
        grey[p] = pictures.extent.channels == 3 ? 0.299 * levels[p] + 0.587 * levels[plane + p] +
                                                      0.114 * levels[2 * plane + p]
                                                : levels[p];
    }
    return grey;
}

std::vector<double> centred_grey_of(const PictureBytes& pictures, std::int64_t i) {
    std::vector<double> grey = grey_of(pictures, i);
    const double mean = std::accumulate(grey.begin(), grey.end(), 0.0) / std::ssize(grey);
    for (double& g : grey) {
        g -= mean;
    }
    return grey;
}

double laplacian_deviation(const std::vector<double>& grey, int height, int width) {
    double sum = 0, squares = 0;
    for (int y = 1; y + 1 < height; ++y) {
        const double* const row = grey.data() + std::int64_t{y} * width;
        for (int x = 1; x + 1 < width; ++x) {
            const double l = row[x - 1] + row[x + 1] + row[x - width] + row[x + width] - 4 * row[x];
            sum += l;
            squares += l * l;
        }
    }
    const double n = (height - 2.0) * (width - 2.0);
    return std::sqrt(std::max(0.0, squares / n - sum / n * (sum / n)));
}

double mean_of(const std::vector<float>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / std::ssize(values);
}

} // namespace

std::vector<float> laplacian_deviations(const PictureBytes& pictures) {
    std::vector<float> deviations;
    for (std::int64_t i = 0; i < pictures.count(); ++i) {
        deviations.push_back(static_cast<float>(laplacian_deviation(
            grey_of(pictures, i), pictures.extent.height, pictures.extent.width)));
    }
    return deviations;
}

double fixed_picture_share(const PictureBytes& pictures) {
    std::vector<double> sum(static_cast<std::size_t>(pictures.extent.plane()));
    double squares = 0;
    for (std::int64_t i = 0; i < pictures.count(); ++i) {
        const std::vector<double> grey = centred_grey_of(pictures, i);
        for (std::size_t p = 0; p < grey.size(); ++p) {
            sum[p] += grey[p];
            squares += grey[p] * grey[p];
        }
    }
    double fixed = 0;
    for (const double s : sum) {
        fixed += s * s;
    }
    return fixed / static_cast<double>(pictures.count()) / squares;
}

std::vector<double> radial_spectrum(const PictureBytes& pictures) {
    const int side = pictures.extent.height;
    const auto at = [side](int row, int column) {
        return static_cast<std::size_t>(row) * static_cast<std::size_t>(side) +
               static_cast<std::size_t>(column);
    };
    // The transform is a sum along the lines, then along the columns, by a table of sines.
    std::vector<double> cosine(static_cast<std::size_t>(side)), sine(cosine.size());
    for (int k = 0; k < side; ++k) {
        cosine[k] = std::cos(2 * std::numbers::pi * k / side);
        sine[k] = std::sin(2 * std::numbers::pi * k / side);
    }
    const int rings = side / 2;
    std::vector<double> power(static_cast<std::size_t>(rings));
    std::vector<std::int64_t> frequencies(power.size());
    std::vector<double> real(at(rings + 1, 0)), imaginary(real.size());
    for (std::int64_t i = 0; i < pictures.count(); ++i) {
        const std::vector<double> grey = centred_grey_of(pictures, i);
        // [u, y]: frequencies 0 to half along the lines are enough, as the picture is real.
        for (int u = 0; u <= rings; ++u) {
            for (int y = 0; y < side; ++y) {
                double re = 0, im = 0;
                for (int x = 0; x < side; ++x) {
                    const auto angle = static_cast<std::size_t>(u * x % side);
                    re += grey[at(y, x)] * cosine[angle];
                    im -= grey[at(y, x)] * sine[angle];
                }
                real[at(u, y)] = re;
                imaginary[at(u, y)] = im;
            }
        }
        for (int u = 0; u <= rings; ++u) {
            for (int v = -(side - 1) / 2; v <= rings; ++v) {
                const auto ring = static_cast<int>(std::lround(std::hypot(u, v)));
                if (ring < 1 || ring > rings) {
                    continue;
                }
                double re = 0, im = 0;
                for (int y = 0; y < side; ++y) {
                    const auto angle = static_cast<std::size_t>((v * y % side + side) % side);
                    re += real[at(u, y)] * cosine[angle] + imaginary[at(u, y)] * sine[angle];
                    im += imaginary[at(u, y)] * cosine[angle] - real[at(u, y)] * sine[angle];
                }
                power[ring - 1] += re * re + im * im;
                ++frequencies[ring - 1];
            }
        }
    }
    // A ring without any power is that of a flat picture: a millionth of a level squared instead.
    for (std::size_t r = 0; r < power.size(); ++r) {
        power[r] = std::log10(power[r] / static_cast<double>(frequencies[r]) + 1e-6);
    }
    return power;
}

TextureComparison compare_texture(const PictureBytes& first, const PictureBytes& second) {
    if (first.extent != second.extent || first.count() < 2 || second.count() < 2 ||
        std::min(first.extent.height, first.extent.width) < 3) {
        throw std::invalid_argument(fmt::format(
            "texture: {} pictures of {} and {} of {}; give at least two of one size, 3 x 3 or more",
            first.count(), first.extent.text(), second.count(), second.extent.text()));
    }
    const std::vector<float> of_first = laplacian_deviations(first),
                             of_second = laplacian_deviations(second);
    const double above = area_under_curve_of_sets(of_first, of_second);
    TextureComparison result{std::max(above, 1 - above),  mean_of(of_first),
                             mean_of(of_second),          fixed_picture_share(first),
                             fixed_picture_share(second), std::numeric_limits<double>::quiet_NaN()};
    if (first.extent.height == first.extent.width) {
        const std::vector<double> a = radial_spectrum(first), b = radial_spectrum(second);
        double squares = 0;
        for (std::size_t r = 0; r < a.size(); ++r) {
            squares += (a[r] - b[r]) * (a[r] - b[r]);
        }
        result.spectrum_distance = std::sqrt(squares / std::ssize(a));
    }
    return result;
}

} // namespace patchforge
