// Minibatch discrimination (Salimans et al. 2016): how close a row is to the others of its batch,
// so that a discriminator can see a generator that paints one picture over and over. With m [B, K *
// C] = features times a learned matrix, cut into K vectors of C numbers a row:
//     closeness(i, j, k) = exp(-||m_ik - m_jk||_1)         o [B, K] = sum over j != i of closeness
#pragma once

#include "kernels/views.h"

namespace patchforge {

struct MinibatchOperations {
    virtual ~MinibatchOperations() = default;

    // C = m.columns / o.columns. One row alone gives 0.
    virtual void minibatch_closeness(Matrix<float> o, Matrix<const float> m) = 0;

    // dm [B, K * C] = sum over j != i of -(d_o_ik + d_o_jk) closeness(i, j, k) sign(m_ikc - m_jkc).
    virtual void minibatch_closeness_gradient(Matrix<float> dm, Matrix<const float> d_o,
                                              Matrix<const float> m) = 0;
};

} // namespace patchforge
