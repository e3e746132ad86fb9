#pragma once

#include "data/png.h"

namespace patchforge {

/// out(y, x) = in(min(y, H-1), min(x, W-1)): repeats the last row and column, and cuts off what
/// lies right of and below the target.
Image pad_to(const Image& image, int width, int height);

/// Bilinear, sample positions (i + 0.5) * in / out - 0.5 clamped to the picture, rounded to
/// nearest: PyTorch's interpolate(mode="bilinear", align_corners=False). No smoothing before
/// shrinking.
Image resize_to(const Image& image, int width, int height);

/// Half the size: means of 2 x 2 pixels, rounded to nearest; an odd last line or column is left out.
Image halved_by_means(const Image& picture);

} // namespace patchforge
