// Fully connected layers. x [B, I], weight [O, I] as PyTorch keeps it, bias [O], z and y [B, O].
// dz is the gradient of the loss by z, the value before the layer's epilogue.
// Any B >= 1, any I, O >= 1. Summation order is fixed: same bits in every run on one device.
// An output never overlaps an input unless said.
// Products of more than 8 rows round their two operands as the backend's precision says
// (kernels/precision.h); everything else, bias and its gradient among it, is float32.
#pragma once

#include "kernels/operations/activation.h"
#include "kernels/operations/optimiser.h"

namespace patchforge {

struct LinearOperations {
    virtual ~LinearOperations() = default;

    // y = epilogue(x weight^T + bias). bias may be empty (none).
    // 2 B I O operations; reads weight once: 4 (O I + B I + B O) bytes.
    virtual void linear_forward(Matrix<float> y, Matrix<const float> x, Matrix<const float> weight,
                                Vector<const float> bias, const Epilogue& epilogue) = 0;

    // dx [B, I] = (dz [B, O] weight) * previous'(.), where `previous` is the epilogue that made
    // this layer's input x: what comes out is the gradient before that epilogue, ready for the
    // layer below. With an identity epilogue x is not read and may be empty.
    virtual void linear_input_gradient(Matrix<float> dx, Matrix<const float> dz,
                                       Matrix<const float> weight, Matrix<const float> x,
                                       const Epilogue& previous) = 0;

    // d_weight [O, I] = dz^T x, d_bias [O] = column sums of dz; added to what is there when
    // `accumulate`. d_bias may be empty.
    virtual void linear_weight_gradient(Matrix<float> d_weight, Vector<float> d_bias,
                                        Matrix<const float> dz, Matrix<const float> x,
                                        bool accumulate) = 0;

    // The same gradient handed straight to Adam: it never reaches memory, which saves 8 of 32 bytes
    // a parameter. weight has O * I elements, bias O (or is empty).
    virtual void linear_weight_gradient_adam(AdamTensor weight, AdamTensor bias,
                                             Matrix<const float> dz, Matrix<const float> x,
                                             const Adam& adam) = 0;

    // linear_input_gradient with the weights as they were before the step, then
    // linear_weight_gradient_adam, with every weight read from memory once.
    virtual void linear_backward_adam(Matrix<float> dx, AdamTensor weight, AdamTensor bias,
                                      Matrix<const float> dz, Matrix<const float> x,
                                      const Epilogue& previous, const Adam& adam) = 0;
};

} // namespace patchforge
