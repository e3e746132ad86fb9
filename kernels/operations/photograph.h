// What becomes of a picture that is printed and photographed: size, place, sharpness and brightness
// change, and a file format rounds. Attacks that are to outlive this climb the mean loss over such
// changes (expectation over transformation: Athalye et al. 2018). Each row is a picture that draws
// for itself.
#pragma once

#include "kernels/extent.h"
#include "kernels/random.h"
#include "kernels/views.h"

namespace patchforge {

// Of picture b, with u_k uniform in -1 ... 1 from word 8 b + k: the zoom z = 1 + scale u_0, the place
// (shift u_1, shift u_2) in pixels down and right, the radius r = 1 + blur (1 + u_3) / 2 and the
// brightness f = 1 + brightness u_4. 0 <= scale, brightness < 1; 0 <= shift, blur.
struct Photograph {
    float scale = 0;
    float shift = 0;
    float blur = 0;
    float brightness = 0;
    RandomStream random{};
};

// Of picture b, a quality q from lowest ... 100 by word 8 b + 5: lowest + word * (101 - lowest) / 2^32.
struct BlockRounding {
    int lowest = 100; // 1 to 100
    RandomStream random{};
};

struct PhotographOperations {
    virtual ~PhotographOperations() = default;

    // Every channel y = f A x B^T. Line i of y looks at p_i = (i - c) / z + c - shift of x, c the middle, held
    // inside the picture, through a tent: A[i, k] is max(0, 1 - |p_i - k| / r), divided by the sum over
    // k. Linear in x; scale, shift, blur and brightness 0 give x. Bright pictures may leave [0, 1].
    // y is not x.
    virtual void photograph(Matrix<float> y, Matrix<const float> x, Extent extent,
                            const Photograph& change) = 0;
    // dx = the transpose of the same draw, applied to dy. dx is not dy.
    virtual void photograph_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent,
                                     const Photograph& change) = 0;

    // Rounds as JPEG does (ITU T.81): blocks of 8 x 8 pixels of every channel, those at the edge filled up
    // by repeating the last line, their cosine transform rounded to multiples of the luminance
    // table's steps, with the IJG library's scaling by q: s = 5000 / q below 50, else 200 - 2 q;
    // steps max(1, (T s + 50) / 100) / 255 (in integers). No change of colour space, and no pixels
    // are left out. Its slope is 0 almost everywhere: what climbs through it takes the identity's
    // (Athalye et al. 2018, "Obfuscated gradients", section 4.1). y is not x.
    virtual void round_blocks(Matrix<float> y, Matrix<const float> x, Extent extent,
                              const BlockRounding& rounding) = 0;
};

} // namespace patchforge
