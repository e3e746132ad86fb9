// Batch and virtual batch normalisation, forward and backward.
//
// A block owns 32 columns, so that every row is read in 128-byte pieces, and its eight warps take
// every eighth row; sums over rows are in float64 and meet in shared memory in the order of warps.
// A hidden layer of 256 columns and 128 rows is 131 kB: it stays in L2 between the sweeps over its
// rows (forward three, backward two), and the launch is what it costs.
#include "kernels/cuda/column_sum.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

// Of one row of one column: how d = z - mean becomes a d / sqrt(epsilon + a (v + w d^2)).
struct Row {
    double share;  // w
    double others; // a = 1 - w
    double inverse_deviation;

    __device__ Row(double d, double variance, double own_share)
        : share(own_share), others(1.0 - own_share),
          inverse_deviation(
              1.0 / sqrt(normalisation_epsilon + others * (variance + own_share * d * d))) {}
    __device__ double normalised(double d) const { return others * d * inverse_deviation; }
    // d normalised / d d, and / d variance.
    __device__ double by_distance(double d) const {
        const double i = inverse_deviation;
        return others * i * (1.0 - others * share * d * d * i * i);
    }
    __device__ double by_variance(double d) const {
        const double i = inverse_deviation;
        return -0.5 * others * others * d * i * i * i;
    }
};

__global__ void __launch_bounds__(reduction_block)
    normalise_kernel(float* y, float* statistics, const float* z, const float* scale,
                     const float* shift, std::int64_t rows, std::int64_t columns,
                     std::int64_t reference_rows) {
    begin_kernel();
    auto& storage = shared<ColumnSumStorage<1>>();
    const unsigned warp = threadIdx.x / 32;
    const std::int64_t c = std::int64_t{blockIdx.x} * columns_per_block + threadIdx.x % 32;
    const bool inside = c < columns;
    double sum[1] = {0.0};
    if (inside) {
        for (std::int64_t r = warp; r < reference_rows; r += warps_per_block) {
            sum[0] += z[r * columns + c];
        }
    }
    sum_over_warps(sum, storage);
    const double mean = sum[0] / static_cast<double>(reference_rows);
    sum[0] = 0.0;
    if (inside) {
        for (std::int64_t r = warp; r < reference_rows; r += warps_per_block) {
            const double d = z[r * columns + c] - mean;
            sum[0] += d * d;
        }
    }
    sum_over_warps(sum, storage);
    const double variance = sum[0] / static_cast<double>(reference_rows);
    if (inside) {
        // Before the loop, whose registers their addresses would share.
        if (warp == 0) {
            statistics[c] = static_cast<float>(mean);
            statistics[columns + c] = static_cast<float>(variance);
        }
        const double share = 1.0 / static_cast<double>(reference_rows + 1);
        for (std::int64_t r = warp; r < rows; r += warps_per_block) {
            const double d = z[r * columns + c] - mean;
            const Row row(d, variance, r < reference_rows ? 0.0 : share);
            y[r * columns + c] = static_cast<float>(scale[c] * row.normalised(d) + shift[c]);
        }
    }
}

__global__ void __launch_bounds__(256)
    normalise_by_kernel(float* y, const float* z, const float* statistics, float share,
                        const float* scale, const float* shift, std::int64_t count,
                        std::int64_t columns) {
    begin_kernel();
    const std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (e < count) {
        const std::int64_t c = e % columns;
        const double d = static_cast<double>(z[e]) - statistics[c];
        const Row row(d, statistics[columns + c], share);
        y[e] = static_cast<float>(scale[c] * row.normalised(d) + shift[c]);
    }
}

__global__ void __launch_bounds__(reduction_block)
    normalise_gradient_kernel(float* dz, float* d_scale, float* d_shift, const float* dy,
                              const float* z, const float* statistics, const float* scale,
                              std::int64_t rows, std::int64_t columns, std::int64_t reference_rows,
                              bool accumulate) {
    begin_kernel();
    auto& storage = shared<ColumnSumStorage<4>>();
    const unsigned warp = threadIdx.x / 32;
    const std::int64_t c = std::int64_t{blockIdx.x} * columns_per_block + threadIdx.x % 32;
    const bool inside = c < columns;
    const double own_share = 1.0 / static_cast<double>(reference_rows + 1);
    const double mean = inside ? statistics[c] : 0.0f;
    const double variance = inside ? statistics[columns + c] : 1.0f;
    enum { of_scale, of_shift, by_distance, by_variance, sums };
    double sum[sums] = {0.0, 0.0, 0.0, 0.0};
    if (inside) {
        for (std::int64_t r = warp; r < rows; r += warps_per_block) {
            const double d = z[r * columns + c] - mean;
            const double g = dy[r * columns + c];
            const Row row(d, variance, r < reference_rows ? 0.0 : own_share);
            sum[of_scale] += g * row.normalised(d);
            sum[of_shift] += g;
            sum[by_distance] += g * row.by_distance(d);
            sum[by_variance] += g * row.by_variance(d);
        }
    }
    sum_over_warps(sum, storage);
    if (inside) {
        const double references = static_cast<double>(reference_rows);
        for (std::int64_t r = warp; r < rows; r += warps_per_block) {
            const double d = z[r * columns + c] - mean;
            const Row row(d, variance, r < reference_rows ? 0.0 : own_share);
            double gradient = dy[r * columns + c] * row.by_distance(d);
            if (r < reference_rows) {
                gradient += (2.0 * sum[by_variance] * d - sum[by_distance]) / references;
            }
            dz[r * columns + c] = static_cast<float>(scale[c] * gradient);
        }
        if (warp == 0) {
            d_scale[c] = static_cast<float>((accumulate ? d_scale[c] : 0.0) + sum[of_scale]);
            d_shift[c] = static_cast<float>((accumulate ? d_shift[c] : 0.0) + sum[of_shift]);
        }
    }
}

} // namespace

void CudaBackend::normalise(Matrix<float> y, Matrix<float> statistics, Matrix<const float> z,
                            std::int64_t reference_rows, Vector<const float> scale,
                            Vector<const float> shift) {
    launch(normalise_kernel,
           {.grid = blocks_for(z.columns, columns_per_block),
            .block = reduction_block,
            .shared_bytes = sizeof(ColumnSumStorage<1>),
            .stream = stream_,
            .name = "normalise",
            .work = {8.0 * z.size() + 16.0 * z.columns, 12.0 * z.size()}},
           y.data, statistics.data, z.data, scale.data, shift.data, z.rows, z.columns,
           reference_rows);
}

void CudaBackend::normalise_by(Matrix<float> y, Matrix<const float> z,
                               Matrix<const float> statistics, float share,
                               Vector<const float> scale, Vector<const float> shift) {
    launch(normalise_by_kernel,
           {.grid = blocks_for(z.size(), 256),
            .stream = stream_,
            .name = "normalise_by",
            .work = {8.0 * z.size() + 16.0 * z.columns, 8.0 * z.size()}},
           y.data, z.data, statistics.data, share, scale.data, shift.data, z.size(), z.columns);
}

void CudaBackend::normalise_gradient(Matrix<float> dz, Vector<float> d_scale, Vector<float> d_shift,
                                     Matrix<const float> dy, Matrix<const float> z,
                                     Matrix<const float> statistics, std::int64_t reference_rows,
                                     Vector<const float> scale, bool accumulate) {
    launch(normalise_gradient_kernel,
           {.grid = blocks_for(z.columns, columns_per_block),
            .block = reduction_block,
            .shared_bytes = sizeof(ColumnSumStorage<4>),
            .stream = stream_,
            .name = "normalise_gradient",
            .work = {12.0 * z.size() + (accumulate ? 28.0 : 20.0) * z.columns, 30.0 * z.size()}},
           dz.data, d_scale.data, d_shift.data, dy.data, z.data, statistics.data, scale.data,
           z.rows, z.columns, reference_rows, accumulate);
}

} // namespace patchforge::cuda
