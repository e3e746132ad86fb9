// How near pictures are to those that they should be, by the measures of super-resolution. On 8 bits,
// every picture by itself, whole (no border is shaved off), means over the pictures.
#pragma once

#include <span>
#include <vector>

#include "data/picture.h"

namespace patchforge {

// Brightness of ITU-R BT.601 on 16 ... 235, as papers take it: Y = (65.481 R + 128.553 G + 24.966 B + 16)
// / 255 of colours in [0, 1]; of a grey picture the grey. The same error of all colours counts 1.32 dB less
// on Y than on them.
std::vector<double> luma(const Image& picture);

// Of values in [0, 1].
double mean_squared_error(std::span<const double> a, std::span<const double> b);
// -10 log10 of it; infinite for equal pictures.
double psnr(std::span<const double> a, std::span<const double> b);
// Structural similarity (Wang et al. 2004): Gaussian windows of 11, deviation 1.5, whole ones alone,
// population covariances, C1 = .01^2, C2 = .03^2. NaN for less than 11 pixels a side.
double ssim(std::span<const double> a, std::span<const double> b, int height, int width);

struct PictureQuality {
    double psnr = 0;   // of all colours together
    double ssim = 0;   // mean of the colours
    double psnr_y = 0; // of the brightness alone
    double ssim_y = 0;
    double psnr_of_mean = 0; // of the mean squared error over all pictures: another figure
    std::int64_t equal = 0;  // pictures without any error: counted as 100 dB
};
// Pictures of equal sizes, at least one. std::invalid_argument otherwise.
PictureQuality picture_quality(const std::vector<Image>& made, const std::vector<Image>& wanted);

} // namespace patchforge
