// Earlier fakes that a discriminator is shown again, so that generators cannot run in circles with it
// (Shrivastava et al. 2017; drawn as the authors of CycleGAN do).
#pragma once

#include "kernels/random.h"
#include "kernels/views.h"

namespace patchforge {

struct PicturePoolOperations {
    virtual ~PicturePoolOperations() = default;

    // fresh [B, P], shown [B, P], pool [N, P], N >= 1. Pictures come one after the other, in the order of
    // rows; n = random.draw.value() * B + b have come before row b:
    //     n < N:                     pool row n = fresh row b, which is shown
    //     else word(2 b) >= 2^31:    slot = word(2 b + 1) * N / 2^32; pool row slot is shown, and fresh
    //                                row b takes its place
    //     else:                      fresh row b is shown, and not kept
    // So B must be the same in every draw. None of the three may overlap.
    virtual void exchange_pictures(Matrix<float> shown, Matrix<float> pool,
                                   Matrix<const float> fresh, const RandomStream& random) = 0;
};

} // namespace patchforge
