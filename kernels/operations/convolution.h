// Convolutional layers: convolution, transposed convolution, and nearest x2 followed by a 3x3
// convolution, forward and backward. As everywhere in deep learning, "convolution" is a
// cross-correlation: kernels are not flipped (as in PyTorch's Conv2d and ConvTranspose2d, whose
// weights they take as they are).
//
// A row of a matrix is a picture [channels, height, width]: x [B, inputs()], y and z [B, outputs()],
// any B >= 1. The shape has been validated (kernels/convolution_shape.h has its arithmetic). weight
// [weights()], bias [out_channels]. dz is the gradient of the loss by z, the value before the layer's
// epilogue. Summation order is fixed: same bits in every run on one device. An output never overlaps
// an input.
//
// Convolutions that `rounds()` names round the two operands of their products as the backend's
// precision says (upsampled: the weights once folded); everything else, bias and its gradient among
// it, is float32.
#pragma once

#include "kernels/convolution_shape.h"
#include "kernels/operations/activation.h"
#include "kernels/operations/optimiser.h"

namespace patchforge {

struct ConvolutionOperations {
    virtual ~ConvolutionOperations() = default;

    // y = epilogue(z), z[b, o, r, c] = bias[o] + sum over i, j, k of weight times x, by kind:
    //     convolution   weight[o, i, a, b] x[i, s r - p + d a, s c - p + d b]
    //     transposed    weight[i, o, a, b] x[i, j, k] wherever r = s j - p + d a, c = s k - p + d b
    //     upsampled     weight[o, i, a, b] x[i, floor((r + a - 1) / 2), floor((c + b - 1) / 2)]
    // x outside of the picture is 0; depthwise: i is o alone. bias may be empty (none).
    // shape.operations(B); 4 (weights + B inputs + B outputs) bytes.
    virtual void convolution_forward(Matrix<float> y, Matrix<const float> x,
                                     Vector<const float> weight, Vector<const float> bias,
                                     const Epilogue& epilogue, const ConvolutionShape& shape) = 0;

    // dx [B, inputs()] = (transpose of the above of dz) * previous'(.), where `previous` is the
    // epilogue that made this layer's input x: what comes out is the gradient before that epilogue.
    // With an identity epilogue x is not read and may be empty; else it is read once: 4 B inputs more.
    virtual void convolution_input_gradient(Matrix<float> dx, Matrix<const float> dz,
                                            Vector<const float> weight, Matrix<const float> x,
                                            const Epilogue& previous,
                                            const ConvolutionShape& shape) = 0;

    // d_weight [weights()]; d_bias [out_channels] = sums of dz over pictures and pixels; added to
    // what is there when `accumulate`. d_bias may be empty.
    virtual void convolution_weight_gradient(Vector<float> d_weight, Vector<float> d_bias,
                                             Matrix<const float> dz, Matrix<const float> x,
                                             bool accumulate, const ConvolutionShape& shape) = 0;

    // The same gradient handed straight to Adam. weight has weights() elements, bias out_channels
    // (or is empty).
    virtual void convolution_weight_gradient_adam(AdamTensor weight, AdamTensor bias,
                                                  Matrix<const float> dz, Matrix<const float> x,
                                                  const Adam& adam,
                                                  const ConvolutionShape& shape) = 0;
};

} // namespace patchforge
