// Batch and virtual batch normalisation, forward and backward.
//
// A block owns 32 columns, so that every row is read in 128-byte pieces, and its eight warps take
// every eighth row; their sums meet in shared memory in the order of warps. A hidden layer of 256
// columns and 128 rows is 131 kB: it stays in L2 between the sweeps over its rows (forward three,
// backward two), and the launch is what it costs.
//
// All in float32, which every card has in plenty, but nothing is lost by it: sums carry what rounding
// takes from them, and a mean is two numbers, so that values close to it keep their distance from it.
#include "kernels/cuda/column_sum.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

// A sum that keeps what its additions round away (Kahan 1965): the error does not grow with the
// number of terms.
class CompensatedSum {
  public:
    __device__ void add(float term) {
        const float corrected = term - excess_;
        const float sum = total_ + corrected;
        excess_ = (sum - total_) - corrected;
        total_ = sum;
    }
    __device__ float total() const { return total_; }

  private:
    float total_ = 0.0f;
    float excess_ = 0.0f; // of the total over the sum
};

// Of one row of one column: how d = z - mean becomes a d / sqrt(epsilon + a (v + w d^2)), w = share.
struct Row {
    float others; // a = 1 - w
    float variance;
    float inverse_deviation;

    __device__ Row(float d, float variance_, float share)
        : others(1.0f - share), variance(variance_),
          // To 2 units in the last place. A root and a division would call functions, and registers
          // that are alive then go to memory.
          inverse_deviation(rsqrtf(normalisation_epsilon + others * (variance + share * d * d))) {}
    __device__ float normalised(float d) const { return others * d * inverse_deviation; }
    // d normalised / d d, and / d variance. The first is a i (1 - a w d^2 i^2), without the
    // difference of two numbers close to each other.
    __device__ float by_distance() const {
        const float i = inverse_deviation;
        return others * i * i * i * (normalisation_epsilon + others * variance);
    }
    __device__ float by_variance(float d) const {
        const float i = inverse_deviation;
        return -0.5f * others * others * d * i * i * i;
    }
};

__global__ void __launch_bounds__(reduction_block)
    normalise_kernel(float* y, float* statistics, const float* z, const float* scale,
                     const float* shift, std::int64_t rows, std::int64_t columns,
                     std::int64_t reference_rows) {
    begin_kernel();
    auto& storage = shared<ColumnSumStorage<2, float>>();
    const unsigned warp = threadIdx.x / 32;
    const std::int64_t c = std::int64_t{blockIdx.x} * columns_per_block + threadIdx.x % 32;
    const bool inside = c < columns;
    const float references = static_cast<float>(reference_rows);
    float sum[2] = {};
    if (inside) {
        CompensatedSum of_values;
        for (std::int64_t r = warp; r < reference_rows; r += warps_per_block) {
            of_values.add(z[r * columns + c]);
        }
        sum[0] = of_values.total();
    }
    sum_over_warps(sum, storage);
    const float each = 1.0f / references;
    const float near = sum[0] * each; // the mean but for roundings
    sum[0] = sum[1] = 0.0f;
    if (inside) {
        CompensatedSum of_distances, of_squares;
        for (std::int64_t r = warp; r < reference_rows; r += warps_per_block) {
            const float d = z[r * columns + c] - near;
            of_distances.add(d);
            of_squares.add(d * d);
        }
        sum[0] = of_distances.total();
        sum[1] = of_squares.total();
    }
    sum_over_warps(sum, storage);
    const float rest = sum[0] * each; // mean = near + rest
    const float variance = fmaxf(sum[1] * each - rest * rest, 0.0f);
    if (inside) {
        // Before the loop, whose registers their addresses would share.
        if (warp == 0) {
            statistics[c] = near + rest;
            statistics[columns + c] = variance;
        }
        const float share = 1.0f / (references + 1.0f);
        for (std::int64_t r = warp; r < rows; r += warps_per_block) {
            const float d = (z[r * columns + c] - near) - rest;
            const Row row(d, variance, r < reference_rows ? 0.0f : share);
            y[r * columns + c] = fmaf(scale[c], row.normalised(d), shift[c]);
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
        const float d = z[e] - statistics[c];
        const Row row(d, statistics[columns + c], share);
        y[e] = fmaf(scale[c], row.normalised(d), shift[c]);
    }
}

__global__ void __launch_bounds__(reduction_block)
    normalise_gradient_kernel(float* dz, float* d_scale, float* d_shift, const float* dy,
                              const float* z, const float* statistics, const float* scale,
                              std::int64_t rows, std::int64_t columns, std::int64_t reference_rows,
                              bool accumulate) {
    begin_kernel();
    enum { of_scale, of_shift, by_distance, by_variance, sums };
    auto& storage = shared<ColumnSumStorage<sums, float>>();
    const unsigned warp = threadIdx.x / 32;
    const std::int64_t c = std::int64_t{blockIdx.x} * columns_per_block + threadIdx.x % 32;
    const bool inside = c < columns;
    const float references = static_cast<float>(reference_rows);
    const float each = 1.0f / references;
    const float own_share = 1.0f / (references + 1.0f);
    const float mean = inside ? statistics[c] : 0.0f;
    const float variance = inside ? statistics[columns + c] : 1.0f;
    float sum[sums] = {};
    if (inside) {
        CompensatedSum of[sums];
        for (std::int64_t r = warp; r < rows; r += warps_per_block) {
            const float d = z[r * columns + c] - mean;
            const float g = dy[r * columns + c];
            const Row row(d, variance, r < reference_rows ? 0.0f : own_share);
            of[of_scale].add(g * row.normalised(d));
            of[of_shift].add(g);
            of[by_distance].add(g * row.by_distance());
            of[by_variance].add(g * row.by_variance(d));
        }
        PATCHFORGE_UNROLL
        for (int i = 0; i < sums; ++i) {
            sum[i] = of[i].total();
        }
    }
    sum_over_warps(sum, storage);
    if (inside) {
        for (std::int64_t r = warp; r < rows; r += warps_per_block) {
            const float d = z[r * columns + c] - mean;
            const Row row(d, variance, r < reference_rows ? 0.0f : own_share);
            float gradient = dy[r * columns + c] * row.by_distance();
            if (r < reference_rows) {
                gradient += (2.0f * sum[by_variance] * d - sum[by_distance]) * each;
            }
            dz[r * columns + c] = scale[c] * gradient;
        }
        if (warp == 0) {
            d_scale[c] = (accumulate ? d_scale[c] : 0.0f) + sum[of_scale];
            d_shift[c] = (accumulate ? d_shift[c] : 0.0f) + sum[of_shift];
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
            .shared_bytes = sizeof(ColumnSumStorage<2, float>),
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
            .shared_bytes = sizeof(ColumnSumStorage<4, float>),
            .stream = stream_,
            .name = "normalise_gradient",
            .work = {12.0 * z.size() + (accumulate ? 28.0 : 20.0) * z.columns, 30.0 * z.size()}},
           dz.data, d_scale.data, d_shift.data, dy.data, z.data, statistics.data, scale.data,
           z.rows, z.columns, reference_rows, accumulate);
}

} // namespace patchforge::cuda
