// Minibatch discrimination. A thread owns one (row, kernel) pair and goes through the other rows,
// so nothing has to be added across threads. B = 64 rows and K = 100 kernels of C = 5 numbers are
// 6,400 threads that read 64 * 5 floats each, from L1 and L2: 128 kB of m serve all of them.
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

__device__ float closeness(const float* a, const float* b, std::int64_t size) {
    float distance = 0.0f;
    for (std::int64_t c = 0; c < size; ++c) {
        distance += fabsf(a[c] - b[c]);
    }
    return expf(-distance);
}

__global__ void __launch_bounds__(256)
    minibatch_closeness_kernel(float* o, const float* m, std::int64_t rows, std::int64_t kernels,
                               std::int64_t size) {
    begin_kernel();
    const std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (e < rows * kernels) {
        const std::int64_t i = e / kernels;
        const float* mine = m + e * size; // row i has kernels * size numbers
        float sum = 0.0f;
        for (std::int64_t j = 0; j < rows; ++j) {
            if (j != i) {
                sum += closeness(mine, mine + (j - i) * kernels * size, size);
            }
        }
        o[e] = sum;
    }
}

__global__ void __launch_bounds__(256)
    minibatch_closeness_gradient_kernel(float* dm, const float* d_o, const float* m,
                                        std::int64_t rows, std::int64_t kernels,
                                        std::int64_t size) {
    begin_kernel();
    const std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (e < rows * kernels) {
        const std::int64_t i = e / kernels;
        const float* mine = m + e * size;
        float* gradient = dm + e * size;
        for (std::int64_t c = 0; c < size; ++c) {
            gradient[c] = 0.0f;
        }
        for (std::int64_t j = 0; j < rows; ++j) {
            const float* other = mine + (j - i) * kernels * size;
            const float pull = (d_o[e] + d_o[e + (j - i) * kernels]) * closeness(mine, other, size);
            for (std::int64_t c = 0; c < size; ++c) {
                const float difference = mine[c] - other[c];
                gradient[c] -= difference > 0.0f ? pull : difference < 0.0f ? -pull : 0.0f;
            }
        }
    }
}

} // namespace

void CudaBackend::minibatch_closeness(Matrix<float> o, Matrix<const float> m) {
    launch(minibatch_closeness_kernel,
           {.grid = blocks_for(o.size(), 256),
            .stream = stream_,
            .name = "minibatch_closeness",
            .work = {4.0 * (m.size() + o.size()), 3.0 * m.size() * o.rows}},
           o.data, m.data, o.rows, o.columns, m.columns / o.columns);
}

void CudaBackend::minibatch_closeness_gradient(Matrix<float> dm, Matrix<const float> d_o,
                                               Matrix<const float> m) {
    launch(minibatch_closeness_gradient_kernel,
           {.grid = blocks_for(d_o.size(), 256),
            .stream = stream_,
            .name = "minibatch_closeness_gradient",
            .work = {8.0 * m.size() + 4.0 * d_o.size(), 6.0 * m.size() * d_o.rows}},
           dm.data, d_o.data, m.data, d_o.rows, d_o.columns, m.columns / d_o.columns);
}

} // namespace patchforge::cuda
