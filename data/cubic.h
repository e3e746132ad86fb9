#pragma once

#include "data/picture.h"

#include <vector>

namespace patchforge {

/// Bicubic resampling by Keys' kernel: |x| <= 1: (a + 2)|x|^3 - (a + 3)|x|^2 + 1, |x| < 2:
/// a|x|^3 - 5a|x|^2 + 8a|x| - 4a, output i at (i + 0.5) * in / out - 0.5. One word, four conventions:
/// they differ in a, in whether the kernel is stretched when a picture shrinks (else it aliases), and in
/// what stands for pixels outside.
enum class CubicBorder {
    dropped, ///< nothing; the other weights are scaled to sum to 1
    clamped, ///< the pixel at the edge
    mirrored ///< the picture mirrored, its edge repeated
};
struct CubicRule {
    double a = -0.5;
    bool stretched = true;
    CubicBorder border = CubicBorder::dropped;
    bool rounds_between = true; ///< to 8 bits, after the rows and before the columns
};
constexpr CubicRule pil_cubic{-0.5, true, CubicBorder::dropped, true};      ///< PIL's, to the bit
constexpr CubicRule torch_cubic{-0.75, false, CubicBorder::clamped, false}; ///< PyTorch's, OpenCV's
constexpr CubicRule matlab_cubic{-0.5, true, CubicBorder::mirrored, false};

/// What one output pixel is made of; inputs may occur twice.
struct CubicTap {
    int input;
    double weight;
};
std::vector<std::vector<CubicTap>> cubic_taps(int in, int out, const CubicRule& rule);

/// Rounded to nearest and cut to 0 ... 255. Throws std::invalid_argument for sizes below 1.
Image resize_cubic(const Image& image, int width, int height, const CubicRule& rule);

} // namespace patchforge
