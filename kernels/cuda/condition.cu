// What networks do with the class of a row (kernels/operations/condition.h). Codes of 32 to 128 numbers a row:
// every launch costs more than its bytes, predicted.
//
//     augment_condition            16 B a number, a thread each
//     augment_condition_gradient   20 B, with the gradient by the noise 24 B
//     gaussian_divergence          16 B a pair, one block
//     row_dot                      8 B an element, a warp a row
//     row_dot_gradient             8 B, with both gradients 16 B
//     other_labels                 8 B a row
#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/philox.h"

namespace patchforge::cuda {
namespace {

__global__ void __launch_bounds__(256)
    augment_condition_kernel(float* y, const float* noise, const float* statistics,
                             std::int64_t rows, std::int64_t width) {
    begin_kernel();
    const std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (e < rows * width) {
        const float* mean = statistics + e / width * 2 * width + e % width;
        y[e] = fmaf(expf(0.5f * mean[width]), noise[e], mean[0]);
    }
}

// d_noise may be null.
__global__ void __launch_bounds__(256)
    augment_condition_gradient_kernel(float* d_noise, float* d_statistics, const float* dy,
                                      const float* noise, const float* statistics,
                                      std::int64_t rows, std::int64_t width) {
    begin_kernel();
    const std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (e < rows * width) {
        const std::int64_t mean = e / width * 2 * width + e % width;
        const float gradient = dy[e];
        const float through = gradient * expf(0.5f * statistics[mean + width]);
        d_statistics[mean] = gradient;
        d_statistics[mean + width] = 0.5f * through * noise[e];
        if (d_noise != nullptr) {
            d_noise[e] = through;
        }
    }
}

__global__ void __launch_bounds__(reduction_block)
    gaussian_divergence_kernel(float* d_statistics, float* divergence, const float* statistics,
                               std::int64_t rows, std::int64_t half, float share) {
    begin_kernel();
    auto& storage = shared<BlockSumStorage<1>>();
    double sum[1] = {0.0};
    for (std::int64_t e = threadIdx.x; e < rows * half; e += reduction_block) {
        const std::int64_t at = e / half * 2 * half + e % half;
        const float mean = statistics[at], log_variance = statistics[at + half];
        const float excess = expm1f(log_variance);
        sum[0] += 0.5 * (static_cast<double>(mean) * mean + excess - log_variance);
        d_statistics[at] = share * mean;
        d_statistics[at + half] = 0.5f * share * excess;
    }
    sum_over_block(sum, storage);
    if (threadIdx.x == 0) {
        divergence[0] = static_cast<float>(sum[0] / static_cast<double>(rows * half));
    }
}

__global__ void __launch_bounds__(256) row_dot_kernel(float* y, const float* p, const float* q,
                                                      std::int64_t rows, std::int64_t columns) {
    begin_kernel();
    const std::int64_t row = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
    double sum = 0.0;
    if (row < rows) {
        for (std::int64_t c = threadIdx.x % 32; c < columns; c += 32) {
            sum += static_cast<double>(p[row * columns + c]) * q[row * columns + c];
        }
    }
    for (int distance = 16; distance > 0; distance /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    }
    if (row < rows && threadIdx.x % 32 == 0) {
        y[row] = static_cast<float>(sum);
    }
}

// dp may be null.
__global__ void __launch_bounds__(256)
    row_dot_gradient_kernel(float* dp, float* dq, const float* dy, const float* p, const float* q,
                            std::int64_t rows, std::int64_t columns) {
    begin_kernel();
    const std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (e < rows * columns) {
        const float gradient = dy[e / columns];
        if (dp != nullptr) {
            dp[e] = gradient * q[e];
        }
        dq[e] = gradient * p[e];
    }
}

__global__ void __launch_bounds__(256)
    other_labels_kernel(std::int32_t* out, const std::int32_t* label, std::int64_t rows,
                        std::uint32_t others, RandomStream random) {
    begin_kernel();
    const std::int64_t b = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (b < rows) {
        const std::uint64_t word = PhiloxDraw(random).word(b);
        const auto k = static_cast<std::uint32_t>(word * others >> 32);
        out[b] = static_cast<std::int32_t>((static_cast<std::uint32_t>(label[b]) + 1 + k) %
                                           (others + 1));
    }
}

} // namespace

void CudaBackend::augment_condition(Matrix<float> y, Matrix<const float> noise,
                                    Matrix<const float> statistics) {
    launch(augment_condition_kernel,
           {.grid = blocks_for(y.size(), 256),
            .stream = stream_,
            .name = "augment_condition",
            .work = {16.0 * y.size(), 3.0 * y.size()}},
           y.data, noise.data, statistics.data, y.rows, y.columns);
}

void CudaBackend::augment_condition_gradient(Matrix<float> d_noise, Matrix<float> d_statistics,
                                             Matrix<const float> dy, Matrix<const float> noise,
                                             Matrix<const float> statistics) {
    launch(augment_condition_gradient_kernel,
           {.grid = blocks_for(dy.size(), 256),
            .stream = stream_,
            .name = "augment_condition_gradient",
            .work = {20.0 * dy.size() + 4.0 * d_noise.size(), 4.0 * dy.size()}},
           d_noise.data_or_null(), d_statistics.data, dy.data, noise.data, statistics.data, dy.rows,
           dy.columns);
}

void CudaBackend::gaussian_divergence(Matrix<float> d_statistics, Vector<float> divergence,
                                      Matrix<const float> statistics, float scale) {
    const std::int64_t half = statistics.columns / 2;
    launch(gaussian_divergence_kernel,
           {.block = reduction_block,
            .shared_bytes = sizeof(BlockSumStorage<1>),
            .stream = stream_,
            .name = "gaussian_divergence",
            .work = {8.0 * statistics.size() + 4.0, 4.0 * statistics.size()}},
           d_statistics.data, divergence.data, statistics.data, statistics.rows, half,
           static_cast<float>(scale / static_cast<double>(statistics.rows * half)));
}

void CudaBackend::row_dot(Vector<float> y, Matrix<const float> p, Matrix<const float> q) {
    launch(row_dot_kernel,
           {.grid = blocks_for(32 * p.rows, 256),
            .stream = stream_,
            .name = "row_dot",
            .work = {8.0 * p.size() + 4.0 * p.rows, 2.0 * p.size()}},
           y.data, p.data, q.data, p.rows, p.columns);
}

void CudaBackend::row_dot_gradient(Matrix<float> dp, Matrix<float> dq, Vector<const float> dy,
                                   Matrix<const float> p, Matrix<const float> q) {
    launch(row_dot_gradient_kernel,
           {.grid = blocks_for(p.size(), 256),
            .stream = stream_,
            .name = "row_dot_gradient",
            .work = {8.0 * p.size() + 8.0 * dp.size() + 4.0 * p.rows, 2.0 * p.size()}},
           dp.data_or_null(), dq.data, dy.data, p.data, q.data, p.rows, p.columns);
}

void CudaBackend::other_labels(Vector<std::int32_t> out, Vector<const std::int32_t> label,
                               std::int64_t classes, const RandomStream& random) {
    launch(other_labels_kernel,
           {.grid = blocks_for(out.size, 256),
            .stream = stream_,
            .name = "other_labels",
            .work = {8.0 * out.size, 0}},
           out.data, label.data, out.size, static_cast<std::uint32_t>(classes - 1), random);
}

} // namespace patchforge::cuda
