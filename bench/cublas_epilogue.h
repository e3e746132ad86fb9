// What follows cuBLAS's product so that it has done a linear layer's work: bias and ReLU, one
// kernel.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/views.h"

namespace patchforge::bench {

// y [rows, columns] = max(y + bias [columns], 0)
void launch_bias_relu(Matrix<float> y, Vector<const float> bias, cudaStream_t stream);

} // namespace patchforge::bench
