// Normalisation of columns over a batch: batch normalisation (Ioffe & Szegedy 2015) and virtual
// batch normalisation (Salimans et al., "Improved techniques for training GANs", 2016), in which a
// fixed reference batch travels with every batch and each row is normalised by the reference rows
// and itself, so that no row depends on its neighbours.
//
// z [R + B, C]: the first R rows are the reference, with mean m and (biased) variance v of each
// column. A row's share w in its own statistics is 0 for reference rows and 1 / (R + 1) for the
// others: mean w z + (1 - w) m, mean square likewise. With d = z - m and a = 1 - w that is
//     y = scale * a d / sqrt(1e-5 + a (v + w d^2)) + shift.
// With B = 0 this is batch normalisation. R >= 1, B >= 0; sums in float64, or in float32 with what
// its roundings took.
#pragma once

#include "kernels/views.h"

namespace patchforge {

constexpr float normalisation_epsilon = 1e-5f;

struct NormaliseOperations {
    virtual ~NormaliseOperations() = default;

    // statistics [2, C] = m, then v. scale, shift [C]. y may be z.
    virtual void normalise(Matrix<float> y, Matrix<float> statistics, Matrix<const float> z,
                           std::int64_t reference_rows, Vector<const float> scale,
                           Vector<const float> shift) = 0;

    // Evaluation: the same with given statistics [2, C] and share w for all rows. y may be z.
    virtual void normalise_by(Matrix<float> y, Matrix<const float> z,
                              Matrix<const float> statistics, float share,
                              Vector<const float> scale, Vector<const float> shift) = 0;

    // Gradient of normalise: dz [R + B, C] from dy, through the statistics too; d_scale, d_shift
    // [C], added to what is there when `accumulate`. dz may be dy, not z.
    virtual void normalise_gradient(Matrix<float> dz, Vector<float> d_scale, Vector<float> d_shift,
                                    Matrix<const float> dy, Matrix<const float> z,
                                    Matrix<const float> statistics, std::int64_t reference_rows,
                                    Vector<const float> scale, bool accumulate) = 0;
};

} // namespace patchforge
