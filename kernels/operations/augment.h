// Augmentation of pictures: what they show stays the same, their pixels do not. Each row is a picture
// that draws for itself. Gradients pass through: dx is the transpose of the same draw, applied to dy.
#pragma once

#include "kernels/extent.h"
#include "kernels/random.h"
#include "kernels/views.h"

namespace patchforge {

struct AugmentOperations {
    virtual ~AugmentOperations() = default;

    // y row b = the picture of x row b under a random element of the dihedral group: turned by a
    // multiple of 90 degrees and perhaps mirrored, all eight equally likely. Tissue has no up and
    // down. The three top bits of element b's word say which: pixel [i, j] of every channel comes
    // from [j, i] if 2^31 is set, then with rows counted from below if 2^30 is, and columns from
    // the right if 2^29 is. Pictures that are not square cannot be turned by 90 degrees: 2^31 does
    // not count, and four elements remain. y is not x.
    virtual void dihedral(Matrix<float> y, Matrix<const float> x, Extent extent,
                          const RandomStream& random) = 0;
    virtual void dihedral_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent,
                                   const RandomStream& random) = 0;

    // y[i, j] = x[i - down, j - right], 0 where that lies outside, down and right from -limit ... limit
    // by the words 2 b and 2 b + 1: word * (2 limit + 1) / 2^32 - limit (DiffAugment: Zhao et al. 2020).
    // limit >= 0. y is not x.
    virtual void translate(Matrix<float> y, Matrix<const float> x, Extent extent, int limit,
                           const RandomStream& random) = 0;
    virtual void translate_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent,
                                    int limit, const RandomStream& random) = 0;

    // y = x with zeros in a square of `side` pixels, [top, top + side) by [left, left + side), that may
    // stick out of the picture: top + side / 2 = word(2 b) * (height + 1 - side % 2) / 2^32, left
    // likewise from word 2 b + 1 and the width. Its own transpose: on dy it gives dx. y may be x.
    virtual void cutout(Matrix<float> y, Matrix<const float> x, Extent extent, int side,
                        const RandomStream& random) = 0;
};

} // namespace patchforge
