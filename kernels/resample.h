// Pictures laid out anew: every output pixel is a few input pixels, always the same ones.
#pragma once

#include "kernels/extent.h"

namespace patchforge {

// zero_padding        lines of zeros around the picture; negative numbers crop
// reflection_padding  lines that mirror those inside, the edge not repeated: 2 1 0 1 2 1 0
// nearest             twice as large, y[i, j] = x[i / 2, j / 2]
// bilinear            twice as large, pixels being squares (PyTorch: align_corners False): 3/4 of the
//                     nearest line and 1/4 of the next nearest, the edge taken for what lies outside
// shuffle             y[c, i r + a, j r + b] = x[c r^2 + a r + b, i, j], r = factor (Shi et al. 2016)
// turn                the picture under the element `turn` of the dihedral group: with i, j exchanged
//                     if 4 is set, then lines counted from below if 2 is, columns from the right if 1 is,
//                     y[i, j] reads that pixel. 5 turns it by 90 degrees to the left, 3 by 180
enum class ResampleKind { zero_padding, reflection_padding, nearest, bilinear, shuffle, turn };

struct Resample {
    ResampleKind kind = ResampleKind::zero_padding;
    Extent in;
    // Lines added on each side. nearest and bilinear: bottom and right may be -1, for 7 > 13.
    int top = 0, left = 0, bottom = 0, right = 0;
    int factor = 2; // of shuffle
    int turn = 0;

    Extent out() const;
    // std::invalid_argument with what is wrong: nothing left of a picture, reflection of as many lines
    // as there are, channels that r^2 does not divide.
    void validate() const;
};

// The element that undoes `turn`.
PATCHFORGE_HOST_DEVICE inline int inverse_turn(int turn) {
    return turn & 4 ? 4 | (turn & 1) << 1 | (turn & 2) >> 1 : turn;
}

} // namespace patchforge
