// kernels/operations/photograph.h in float64: matrices written out, a cosine transform of four loops.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/operations/photograph.h"
#include "tests/oracle/matrix.h"
#include "tests/oracle/philox.h"

namespace patchforge::oracle {

// A [size, size] of the definition.
inline DoubleMatrix photograph_axis(int size, double zoom, double shift, double radius) {
    DoubleMatrix a(size, size);
    const double middle = (size - 1) / 2.0;
    for (int i = 0; i < size; ++i) {
        const double p = std::clamp((i - middle) / zoom + middle - shift, 0.0, size - 1.0);
        double sum = 0;
        for (int k = 0; k < size; ++k) {
            a(i, k) = std::max(0.0, 1 - std::fabs(p - k) / radius);
            sum += a(i, k);
        }
        for (int k = 0; k < size; ++k) {
            a(i, k) /= sum;
        }
    }
    return a;
}

inline DoubleMatrix photograph(const DoubleMatrix& x, Extent extent, const Photograph& how,
                               std::uint64_t draw) {
    const Stream random{how.random.seed, how.random.purpose, draw};
    DoubleMatrix y(x.rows, x.columns);
    for (std::int64_t row = 0; row < x.rows; ++row) {
        const auto u = [&](std::uint64_t k) {
            return 2 * double{uniform_from_word(
                           random.word(8 * static_cast<std::uint64_t>(row) + k))} -
                   1;
        };
        const double zoom = 1 + double{how.scale} * u(0);
        const double radius = 1 + double{how.blur} * (1 + u(3)) / 2;
        const double brightness = 1 + double{how.brightness} * u(4);
        const DoubleMatrix a = photograph_axis(extent.height, zoom, how.shift * u(1), radius);
        const DoubleMatrix b = photograph_axis(extent.width, zoom, how.shift * u(2), radius);
        for (int c = 0; c < extent.channels; ++c) {
            const std::int64_t first = c * extent.plane();
            for (int i = 0; i < extent.height; ++i) {
                for (int j = 0; j < extent.width; ++j) {
                    double sum = 0;
                    for (int k = 0; k < extent.height; ++k) {
                        if (a(i, k) > 0) {
                            for (int l = 0; l < extent.width; ++l) {
                                sum += a(i, k) * b(j, l) * x(row, first + k * extent.width + l);
                            }
                        }
                    }
                    y(row, first + i * extent.width + j) = brightness * sum;
                }
            }
        }
    }
    return y;
}

// ITU T.81, table K.1.
constexpr int luminance_steps[64] = {16,  11,  10,  16,  24, 40, 51,  61,  12,  12,  14,  19,  26,
                                     58,  60,  55,  14,  13, 16, 24,  40,  57,  69,  56,  14,  17,
                                     22,  29,  51,  87,  80, 62, 18,  22,  37,  56,  68,  109, 103,
                                     77,  24,  35,  55,  64, 81, 104, 113, 92,  49,  64,  78,  87,
                                     103, 121, 120, 101, 72, 92, 95,  98,  112, 100, 103, 99};

// nearest [B, P]: of each pixel how near a coefficient of its block lies to the middle between two multiples, in
// steps. There float32 may round the other way.
inline DoubleMatrix round_blocks(const DoubleMatrix& x, Extent extent, const BlockRounding& how,
                                 std::uint64_t draw, DoubleMatrix& nearest) {
    const Stream random{how.random.seed, how.random.purpose, draw};
    const auto cosine = [](int u, int j) {
        return (u == 0 ? std::sqrt(1 / 8.0) : 0.5) *
               std::cos((2 * j + 1) * u * std::numbers::pi / 16);
    };
    DoubleMatrix y(x.rows, x.columns);
    for (std::int64_t row = 0; row < x.rows; ++row) {
        const std::uint64_t word = random.word(8 * static_cast<std::uint64_t>(row) + 5);
        const int quality =
            how.lowest +
            static_cast<int>((word * static_cast<std::uint64_t>(101 - how.lowest)) >> 32);
        for (int c = 0; c < extent.channels; ++c) {
            const auto at = [&](int i, int j) {
                return c * extent.plane() + std::min(i, extent.height - 1) * extent.width +
                       std::min(j, extent.width - 1);
            };
            for (int top = 0; top < extent.height; top += 8) {
                for (int left = 0; left < extent.width; left += 8) {
                    double rounded[8][8], doubt = 1;
                    for (int u = 0; u < 8; ++u) {
                        for (int v = 0; v < 8; ++v) {
                            double sum = 0;
                            for (int i = 0; i < 8; ++i) {
                                for (int j = 0; j < 8; ++j) {
                                    sum += cosine(u, i) * cosine(v, j) *
                                           (x(row, at(top + i, left + j)) - 128 / 255.0);
                                }
                            }
                            const int scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
                            const double step =
                                std::max(1, (luminance_steps[8 * u + v] * scale + 50) / 100) /
                                255.0;
                            rounded[u][v] = step * std::nearbyint(sum / step);
                            const double rest = std::fabs(sum / step - std::nearbyint(sum / step));
                            doubt = std::min(doubt, 0.5 - rest);
                        }
                    }
                    for (int i = 0; i < 8 && top + i < extent.height; ++i) {
                        for (int j = 0; j < 8 && left + j < extent.width; ++j) {
                            double sum = 128 / 255.0;
                            for (int u = 0; u < 8; ++u) {
                                for (int v = 0; v < 8; ++v) {
                                    sum += cosine(u, i) * cosine(v, j) * rounded[u][v];
                                }
                            }
                            y(row, at(top + i, left + j)) = sum;
                            nearest(row, at(top + i, left + j)) = doubt;
                        }
                    }
                }
            }
        }
    }
    return y;
}

} // namespace patchforge::oracle
