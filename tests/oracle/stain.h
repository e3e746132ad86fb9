// kernels/operations/stain.h in float64, step by step.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/operations/stain.h"
#include "tests/oracle/matrix.h"
#include "tests/oracle/philox.h"

namespace patchforge::oracle {

using Triple = std::array<double, 3>;

constexpr std::array<Triple, 3> stain_matrix{{{.65, .70, .29}, {.07, .99, .11}, {.27, .57, .78}}};

// row * M
inline Triple colours_of(const Triple& row) {
    Triple product{};
    for (std::size_t k = 0; k < 3; ++k) {
        for (std::size_t i = 0; i < 3; ++i) {
            product[i] += row[k] * stain_matrix[k][i];
        }
    }
    return product;
}

// The row whose colours these are, by Cramer's rule.
inline Triple stains_of(const Triple& colours) {
    const auto determinant = [](const std::array<Triple, 3>& m) {
        return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
               m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
               m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
    };
    Triple row{};
    for (std::size_t k = 0; k < 3; ++k) {
        auto replaced = stain_matrix;
        replaced[k] = colours;
        row[k] = determinant(replaced) / determinant(stain_matrix);
    }
    return row;
}

// Haematoxylin, eosin, residual of a pixel in [0, 1].
inline Triple separate_stains(const Triple& pixel) {
    Triple density{};
    for (std::size_t i = 0; i < 3; ++i) {
        density[i] = std::log(std::max(pixel[i], 1e-6)) / std::log(1e-6);
    }
    return stains_of(density);
}

inline DoubleMatrix jitter_stain(const DoubleMatrix& x, const StainJitter& jitter,
                                 std::uint64_t draw) {
    const bool unit = jitter.range == PixelRange::unit;
    const std::int64_t plane = x.columns / 3;
    const Stream random{jitter.random.seed, jitter.random.purpose, draw};
    DoubleMatrix y(x.rows, x.columns);
    for (std::int64_t row = 0; row < x.rows; ++row) {
        const auto uniform = [&](std::uint64_t k) { // in -1 ... 1
            return 2 * double{uniform_from_word(
                           random.word(8 * static_cast<std::uint64_t>(row) + k))} -
                   1;
        };
        for (std::int64_t pixel = 0; pixel < plane; ++pixel) {
            Triple colours{};
            for (std::int64_t i = 0; i < 3; ++i) {
                const double value = x(row, i * plane + pixel);
                colours[static_cast<std::size_t>(i)] = unit ? value : (value + 1) / 2;
            }
            Triple stains = separate_stains(colours);
            for (std::size_t k = 0; k < 3; ++k) {
                stains[k] = (1 + double{jitter.scale} * uniform(k)) * stains[k] +
                            double{jitter.shift} * uniform(3 + k);
            }
            const Triple density = colours_of(stains);
            for (std::int64_t i = 0; i < 3; ++i) {
                const double value =
                    std::min(1.0, std::pow(1e-6, density[static_cast<std::size_t>(i)]));
                y(row, i * plane + pixel) = unit ? value : 2 * value - 1;
            }
        }
    }
    return y;
}

} // namespace patchforge::oracle
