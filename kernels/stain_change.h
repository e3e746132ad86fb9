// What stain jitter does to the logarithms of a pixel's three colours (kernels/operations/stain.h).
#pragma once

#include <cstdint>

#include "kernels/random.h"

namespace patchforge {

constexpr float stain_floor = 1e-6f;              // colours below are taken for it
constexpr double stain_logarithm = -13.815510558; // ln 1e-6, by which optical densities are divided

// part[k][j][i] = M^-1[j][k] M[k][i]: what stain k gives to colour i of what colour j says of it.
struct StainParts {
    double matrix[3][3] = {{.65, .70, .29}, {.07, .99, .11}, {.27, .57, .78}}; // M
    double part[3][3][3] = {};

    constexpr StainParts() {
        double determinant = 0;
        const auto cofactor = [this](int row, int column) {
            const int r0 = (row + 1) % 3, r1 = (row + 2) % 3;
            const int c0 = (column + 1) % 3, c1 = (column + 2) % 3;
            return matrix[r0][c0] * matrix[r1][c1] - matrix[r0][c1] * matrix[r1][c0];
        };
        for (int c = 0; c < 3; ++c) {
            determinant += matrix[0][c] * cofactor(0, c);
        }
        for (int k = 0; k < 3; ++k) {
            for (int j = 0; j < 3; ++j) {
                for (int i = 0; i < 3; ++i) {
                    part[k][j][i] = cofactor(k, j) / determinant * matrix[k][i];
                }
            }
        }
    }
};

// ln p'_i = sum over j of ln p_j matrix[j][i] + offset[i].
struct StainChange {
    float matrix[3][3];
    float offset[3];

    PATCHFORGE_HOST_DEVICE float logarithm(const float (&of_colour)[3], int i) const {
        return of_colour[0] * matrix[0][i] + of_colour[1] * matrix[1][i] +
               of_colour[2] * matrix[2][i] + offset[i];
    }
};

// From six words of the picture. Written as a difference from the identity, which no jitter leaves.
PATCHFORGE_HOST_DEVICE inline StainChange stain_change(const std::uint32_t (&words)[8], float scale,
                                                       float shift) {
    constexpr StainParts stains;
    StainChange change = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, {0, 0, 0}};
    for (int k = 0; k < 3; ++k) {
        const float stretch = scale * (2.0f * uniform_from_word(words[k]) - 1.0f);
        const float added = shift * (2.0f * uniform_from_word(words[3 + k]) - 1.0f);
        for (int i = 0; i < 3; ++i) {
            for (int j = 0; j < 3; ++j) {
                change.matrix[j][i] += stretch * static_cast<float>(stains.part[k][j][i]);
            }
            change.offset[i] += added * static_cast<float>(stains.matrix[k][i] * stain_logarithm);
        }
    }
    return change;
}

} // namespace patchforge
