// Augmentation of pictures: what they show stays the same, their pixels do not.
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
    virtual void dihedral(Matrix<float> y, Matrix<const float> x, Extent shape,
                          const RandomStream& random) = 0;
};

} // namespace patchforge
