// Spectral normalisation. Weights are at most some hundred kilobytes and stay in L2; what the kernels
// cost is their launches, so every kernel finds the length of the vector before it by itself, in every
// block, and no iteration takes more than two.
//
//     spectral_columns    t = W^T u: a block owns 32 columns, its eight warps take every eighth row
//     spectral_rows       s = W t / |t|: a block a row; v = t / |t|
//     spectral_divide     u = s / |s|, sigma = u^T s, y = W / sigma
//     spectral_products   the sum of dy y, in at most 132 parts
//     spectral_gradient   8 B an element, 12 with what is there
//
// t and s lie in the workspace, in float64. The next iteration takes s for u: lengths do not matter to it.
#include <algorithm>

#include "kernels/cuda/column_sum.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

constexpr double shortest = 1e-12; // vectors are divided by no less

__device__ std::int64_t element_of(const SpectralMatrix& matrix, std::int64_t row,
                                   std::int64_t column) {
    return (column / matrix.inner * matrix.rows + row) * matrix.inner + column % matrix.inner;
}

// u null: s of the iteration before.
__global__ void __launch_bounds__(reduction_block)
    spectral_columns_kernel(double* t, const float* weight, const float* u, const double* s,
                            SpectralMatrix matrix) {
    begin_kernel();
    auto& storage = shared<ColumnSumStorage<1>>();
    const std::int64_t c = std::int64_t{blockIdx.x} * columns_per_block + threadIdx.x % 32;
    const bool inside = c < matrix.outer * matrix.inner;
    double sum[1] = {0.0};
    if (inside) {
        for (std::int64_t r = threadIdx.x / 32; r < matrix.rows; r += warps_per_block) {
            sum[0] += weight[element_of(matrix, r, c)] * (u != nullptr ? u[r] : s[r]);
        }
    }
    sum_over_warps(sum, storage);
    if (inside && threadIdx.x < 32) {
        t[c] = sum[0];
    }
}

// t null: of v as it is.
__global__ void __launch_bounds__(reduction_block)
    spectral_rows_kernel(double* s, float* v, const float* weight, const double* t,
                         SpectralMatrix matrix) {
    begin_kernel();
    auto& storage = shared<SharedSums<2>>();
    const std::int64_t columns = matrix.outer * matrix.inner;
    double sum[2] = {0.0, 0.0}; // of W t and of t^2
    for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
        const double value = t != nullptr ? t[c] : v[c];
        sum[0] += weight[element_of(matrix, blockIdx.x, c)] * value;
        sum[1] += value * value;
    }
    share_sums(sum, storage);
    const double length = t != nullptr ? fmax(sqrt(sum[1]), shortest) : 1.0;
    if (threadIdx.x == 0) {
        s[blockIdx.x] = sum[0] / length;
    }
    if (t != nullptr && blockIdx.x == 0) {
        for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
            v[c] = static_cast<float>(t[c] / length);
        }
    }
}

// iterates: u follows s, otherwise it stays.
__global__ void __launch_bounds__(reduction_block)
    spectral_divide_kernel(float* y, float* sigma, float* u, const float* weight, const double* s,
                           std::int64_t rows, std::int64_t count, bool iterates) {
    begin_kernel();
    auto& storage = shared<SharedSums<1>>();
    double sum[1] = {0.0}; // of s^2, or of u s
    for (std::int64_t r = threadIdx.x; r < rows; r += blockDim.x) {
        sum[0] += s[r] * (iterates ? s[r] : u[r]);
    }
    share_sums(sum, storage);
    const double length = fmax(sqrt(sum[0]), shortest);
    const auto value = static_cast<float>(iterates ? sum[0] / length : sum[0]);
    for (std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; e < count;
         e += std::int64_t{gridDim.x} * blockDim.x) {
        y[e] = weight[e] / value;
    }
    if (blockIdx.x == 0) {
        if (threadIdx.x == 0) {
            sigma[0] = value;
        }
        for (std::int64_t r = threadIdx.x; r < rows && iterates; r += blockDim.x) {
            u[r] = static_cast<float>(s[r] / length);
        }
    }
}

__global__ void __launch_bounds__(reduction_block)
    spectral_products_kernel(double* of_block, const float* dy, const float* y,
                             std::int64_t count) {
    begin_kernel();
    auto& storage = shared<BlockSumStorage<1>>();
    double sum[1] = {0.0};
    for (std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; e < count;
         e += std::int64_t{gridDim.x} * blockDim.x) {
        sum[0] += static_cast<double>(dy[e]) * y[e];
    }
    sum_over_block(sum, storage);
    if (threadIdx.x == 0) {
        of_block[blockIdx.x] = sum[0];
    }
}

__global__ void __launch_bounds__(reduction_block)
    spectral_gradient_kernel(float* d_weight, const float* dy, const double* of_block,
                             unsigned blocks, const float* sigma, const float* u, const float* v,
                             SpectralMatrix matrix, bool accumulate) {
    begin_kernel();
    double total = 0.0;
    for (unsigned block = 0; block < blocks; ++block) {
        total += of_block[block];
    }
    const std::int64_t count = matrix.outer * matrix.rows * matrix.inner;
    const std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (e < count) {
        const std::int64_t line = e / matrix.inner;
        const double product =
            total * u[line % matrix.rows] * v[line / matrix.rows * matrix.inner + e % matrix.inner];
        const double gradient = (dy[e] - product) / sigma[0];
        d_weight[e] = static_cast<float>((accumulate ? d_weight[e] : 0.0) + gradient);
    }
}

unsigned some_blocks(std::int64_t count) {
    return static_cast<unsigned>(
        std::clamp<std::int64_t>(count / (4 * reduction_block), 1, split_blocks));
}

} // namespace

void CudaBackend::spectral_normalise(Vector<float> y, Vector<float> sigma, Vector<float> u,
                                     Vector<float> v, Vector<const float> weight,
                                     const SpectralMatrix& matrix, int iterations) {
    if ((matrix.rows + matrix.columns()) * std::int64_t{sizeof(double)} > workspace_bytes) {
        throw std::invalid_argument("spectral_normalise: " + std::to_string(matrix.rows) + " x " +
                                    std::to_string(matrix.columns()) +
                                    " weights; at most 2 million rows and columns together");
    }
    double* const t = reinterpret_cast<double*>(workspace_.partial);
    double* const s = t + matrix.columns();
    const double size = static_cast<double>(weight.size);
    for (int i = 0; i < std::max(iterations, 1); ++i) {
        if (iterations > 0) {
            launch(spectral_columns_kernel,
                   {.grid = blocks_for(matrix.columns(), columns_per_block),
                    .block = reduction_block,
                    .shared_bytes = sizeof(ColumnSumStorage<1>),
                    .stream = stream_,
                    .name = "spectral_columns",
                    .work = {4.0 * size + (i == 0 ? 4.0 * u.size : 0.0), 2.0 * size}},
                   t, weight.data, i == 0 ? u.data : nullptr, s, matrix);
        }
        launch(spectral_rows_kernel,
               {.grid = static_cast<unsigned>(matrix.rows),
                .block = reduction_block,
                .shared_bytes = sizeof(SharedSums<2>),
                .stream = stream_,
                .name = "spectral_rows",
                .work = {4.0 * size + 4.0 * v.size, 2.0 * size}},
               s, v.data, weight.data, iterations > 0 ? t : nullptr, matrix);
    }
    launch(spectral_divide_kernel,
           {.grid = some_blocks(weight.size),
            .block = reduction_block,
            .shared_bytes = sizeof(SharedSums<1>),
            .stream = stream_,
            .name = "spectral_divide",
            .work = {8.0 * size + 4.0 * u.size + 4.0, 1.0 * size}},
           y.data, sigma.data, u.data, weight.data, s, matrix.rows, weight.size, iterations > 0);
}

void CudaBackend::spectral_gradient(Vector<float> d_weight, Vector<const float> dy,
                                    Vector<const float> y, Vector<const float> sigma,
                                    Vector<const float> u, Vector<const float> v,
                                    const SpectralMatrix& matrix, bool accumulate) {
    double* const of_block = reinterpret_cast<double*>(workspace_.partial);
    const unsigned blocks = some_blocks(dy.size);
    const double size = static_cast<double>(dy.size);
    launch(spectral_products_kernel,
           {.grid = blocks,
            .block = reduction_block,
            .shared_bytes = sizeof(BlockSumStorage<1>),
            .stream = stream_,
            .name = "spectral_products",
            .work = {8.0 * size, 2.0 * size}},
           of_block, dy.data, y.data, dy.size);
    launch(spectral_gradient_kernel,
           {.grid = blocks_for(dy.size, reduction_block),
            .block = reduction_block,
            .stream = stream_,
            .name = "spectral_gradient",
            .work = {(accumulate ? 12.0 : 8.0) * size + 4.0 * (u.size + v.size) + 4.0, 4.0 * size}},
           d_weight.data, dy.data, of_block, blocks, sigma.data, u.data, v.data, matrix,
           accumulate);
}

} // namespace patchforge::cuda
