// Stain jitter: pictures of tissue under stains of another strength, as laboratories differ (Tellez et
// al. 2019). Colours are taken apart into haematoxylin, eosin and residual by optical density (Ruifrok &
// Johnston 2001) with skimage's matrix and scale, pixels p in [0, 1]:
//     od = ln(max(p, 1e-6)) / ln(1e-6)      stain = od M^-1      p' = min(1, 1e-6^(stain' M))
// with M's rows (.65, .70, .29), (.07, .99, .11), (.27, .57, .78) (not normalised).
#pragma once

#include "kernels/extent.h"
#include "kernels/operations/batch.h"
#include "kernels/random.h"
#include "kernels/views.h"

namespace patchforge {

// stain'_k = a_k stain_k + b_k, a_k uniform in 1 -+ scale and b_k in -+ shift. For picture b, a_k comes
// from word 8 b + k, b_k from word 8 b + 3 + k.
struct StainJitter {
    float scale = 0.05f;
    float shift = 0.05f;
    PixelRange range = PixelRange::unit; // of the pixels
    RandomStream random{};
};

struct StainOperations {
    virtual ~StainOperations() = default;

    // x, y [B, 3 height width]. y may be x.
    virtual void jitter_stain(Matrix<float> y, Matrix<const float> x,
                              const StainJitter& jitter) = 0;

    // dx = the gradient by x; 0 where p <= 1e-6 or p' was cut to 1. dx may be dy.
    virtual void jitter_stain_gradient(Matrix<float> dx, Matrix<const float> dy,
                                       Matrix<const float> x, const StainJitter& jitter) = 0;
};

} // namespace patchforge
