// Figures that see texture: what makes tissue of colours, and what clouds of the right colours lack.
// All of grey = 0.299 R + 0.587 G + 0.114 B in levels 0 to 255, not rounded.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/extent.h"

namespace patchforge {

// Pictures one after the other, uint8 planes.
struct PictureBytes {
    std::span<const std::uint8_t> bytes;
    Extent extent;

    std::int64_t count() const { return static_cast<std::int64_t>(bytes.size()) / extent.size(); }
};

// Of each picture: standard deviation of its Laplacian (the sum of the four neighbours less four
// times the middle) over the pixels that have four neighbours. At least 3 x 3.
std::vector<float> laplacian_deviations(const PictureBytes& pictures);

// Share of the pictures' variance that is one and the same picture in all of them: with each
// picture's own mean taken away, N sum of (mean picture)^2 / sum over pictures of (picture)^2. A grid
// that a generator paints into everything shows here; N independent pictures give about 1 / N.
double fixed_picture_share(const PictureBytes& pictures);

// log10 of the power spectrum, averaged over pictures and rings: entry r - 1 is the mean of
// |DFT of (picture - its mean)|^2 over frequencies (u, v) with round(sqrt(u^2 + v^2)) = r, for r = 1
// to half of the shorter side; u and v count cycles over the picture, which must be square.
std::vector<double> radial_spectrum(const PictureBytes& pictures);

// How far two sets are apart in texture.
struct TextureComparison {
    // Of the deviation of the Laplacian alone as a score for "is from the first set": max(AUC,
    // 1 - AUC), 0.5 for sets that agree.
    double laplacian_auc = 0;
    double laplacian_deviation_first = 0; // means over the pictures
    double laplacian_deviation_second = 0;
    double fixed_share_first = 0;
    double fixed_share_second = 0;
    // Root mean square over the rings of the difference of the spectra; NaN where pictures are not
    // square.
    double spectrum_distance = 0;
};
// Both sets of one extent, at least two pictures each: std::invalid_argument.
TextureComparison compare_texture(const PictureBytes& first, const PictureBytes& second);

} // namespace patchforge
