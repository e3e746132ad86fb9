#include "bench/cublas_epilogue.h"

namespace patchforge::bench {
namespace {

__global__ void bias_relu_kernel(float* y, const float* bias, std::int64_t size, int columns) {
    const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < size) {
        const float z = y[i] + bias[i % columns];
        y[i] = z > 0.0f ? z : 0.0f;
    }
}

} // namespace

void launch_bias_relu(Matrix<float> y, Vector<const float> bias, cudaStream_t stream) {
    cuda::launch(bias_relu_kernel,
                 {.grid = {cuda::blocks_for(y.size(), 256)},
                  .block = 256,
                  .stream = stream,
                  .name = "bias_relu"},
                 y.data, bias.data, y.size(), static_cast<int>(y.columns));
}

} // namespace patchforge::bench
