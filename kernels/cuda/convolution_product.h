// Convolutional layers whose window has one position, from which it sees all of the large map: the last
// layer of a discriminator, the first of a generator. With the rows of the large map L long and those
// of the small one S, the weights are a matrix [S, L], and
//
//     convolution    forward, gradients    are those of a linear layer
//     transposed     forward               is a linear layer's input gradient, its input gradient a
//                                          linear layer's forward pass
//
// (As a scatter, all but one tap of a pixel would lie outside of the small map.)
#pragma once

#include "kernels/cuda/cuda_backend.h"

namespace patchforge::cuda {

// Whether the layer is such a one, and linear layers round operands as it does.
bool is_linear(const ConvolutionShape& shape, std::int64_t rows, Precision precision);

// The weights, or their gradient.
template <class T>
Matrix<T> matrix_of(Vector<T> weight, const ConvolutionShape& shape) {
    const ConvolutionWindow window = convolution_window(shape);
    return {weight.data, window.small.channels, window.large.size()};
}

// As the operations of kernels/operations/convolution.h.
void linear_convolution_forward(CudaBackend& backend, const Stream& stream, Matrix<float> y,
                                Matrix<const float> x, Vector<const float> weight,
                                Vector<const float> bias, const Epilogue& epilogue,
                                const ConvolutionShape& shape);
void linear_convolution_input_gradient(CudaBackend& backend, Matrix<float> dx,
                                       Matrix<const float> dz, Vector<const float> weight,
                                       Matrix<const float> x, const Epilogue& previous,
                                       const ConvolutionShape& shape);

} // namespace patchforge::cuda
