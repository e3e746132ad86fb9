// Noise, the gradient penalty's pieces, an L1 term and a running mean of weights.
//
//     add_noise          8 B an element; a thread owns the four elements of a Philox counter, as
//                        fill_normal does.
//     interpolate_rows   12 B an element; a block owns a row, whose alpha every thread draws.
//     penalise_slope     12 B an element: a block reads its row for the norm and again, from L2, to
//                        scale it.
//     add_l1_gradient    16 B an element.
//     running_mean       12 B an element.
#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/philox.h"

namespace patchforge::cuda {
namespace {

__device__ float level_now(const NoiseLevel& level) {
    if (level.end == 0) {
        return level.start;
    }
    const std::uint64_t step = level.iteration.value();
    return step >= level.end
               ? 0.0f
               : static_cast<float>(level.start * static_cast<double>(level.end - step) /
                                    static_cast<double>(level.end));
}

template <bool vectors>
__global__ void __launch_bounds__(256)
    add_noise_kernel(float* x, std::int64_t count, NoiseLevel level, RandomStream random) {
    begin_kernel();
    const std::int64_t group = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    const float deviation = level_now(level);
    std::uint32_t word[4];
    PhiloxDraw(random).words(word, static_cast<std::uint32_t>(group));
    float value[4];
    load_quad<vectors>(value, x + 4 * group, count - 4 * group);
    PATCHFORGE_UNROLL
    for (int pair = 0; pair < 4; pair += 2) {
        const float radius = sqrtf(-2.0f * logf(uniform_from_word(word[pair])));
        float sine;
        float cosine;
        sincospif(2.0f * uniform_from_word(word[pair + 1]), &sine, &cosine);
        value[pair] = fmaf(deviation, radius * sine, value[pair]);
        value[pair + 1] = fmaf(deviation, radius * cosine, value[pair + 1]);
    }
    store_quad<vectors>(x + 4 * group, value, count - 4 * group);
}

__global__ void __launch_bounds__(256)
    interpolate_rows_kernel(float* y, const float* a, const float* b, std::int64_t columns,
                            RandomStream random) {
    begin_kernel();
    const float share = uniform_from_word(PhiloxDraw(random).word(blockIdx.x));
    const std::int64_t row = std::int64_t{blockIdx.x} * columns;
    for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
        y[row + c] = fmaf(share, b[row + c] - a[row + c], a[row + c]);
    }
}

struct SlopeStorage {
    BlockSumStorage<1> sum;
    float factor;
};

__global__ void __launch_bounds__(reduction_block)
    penalise_slope_kernel(float* u, float* penalty, const float* g, std::int64_t columns,
                          float weight) {
    begin_kernel();
    auto& storage = shared<SlopeStorage>();
    const std::int64_t row = std::int64_t{blockIdx.x} * columns;
    double squares[1] = {0.0};
    for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
        const double value = g[row + c];
        squares[0] += value * value;
    }
    sum_over_block(squares, storage.sum);
    if (threadIdx.x == 0) {
        const double slope = sqrt(1e-4 + squares[0]);
        penalty[blockIdx.x] = static_cast<float>(weight * (slope - 1.0) * (slope - 1.0));
        storage.factor = static_cast<float>(weight * 2.0 * (slope - 1.0) /
                                            (slope * static_cast<double>(gridDim.x)));
    }
    __syncthreads();
    for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
        u[row + c] = storage.factor * g[row + c];
    }
}

template <bool vectors>
__global__ void __launch_bounds__(256)
    add_l1_gradient_kernel(float* d, const float* y, const float* target, std::int64_t count,
                           float weight) {
    begin_kernel();
    const std::int64_t first = 4 * (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
    float gradient[4], value[4], wanted[4];
    load_quad<vectors>(gradient, d + first, count - first);
    load_quad<vectors>(value, y + first, count - first);
    load_quad<vectors>(wanted, target + first, count - first);
    PATCHFORGE_UNROLL
    for (int i = 0; i < 4; ++i) {
        const float difference = value[i] - wanted[i];
        gradient[i] += difference > 0.0f ? weight : difference < 0.0f ? -weight : 0.0f;
    }
    store_quad<vectors>(d + first, gradient, count - first);
}

template <bool vectors>
__global__ void __launch_bounds__(256)
    running_mean_kernel(float* mean, const float* value, std::int64_t size, StepCount count) {
    begin_kernel();
    const std::int64_t first = 4 * (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
    const float share = static_cast<float>(1.0 / (static_cast<double>(count.value()) + 1.0));
    float average[4], current[4];
    load_quad<vectors>(average, mean + first, size - first);
    load_quad<vectors>(current, value + first, size - first);
    PATCHFORGE_UNROLL
    for (int i = 0; i < 4; ++i) {
        average[i] = fmaf(share, current[i] - average[i], average[i]);
    }
    store_quad<vectors>(mean + first, average, size - first);
}

LaunchShape quads(std::int64_t count, Stream stream, const char* name, double bytes) {
    return {.grid = blocks_for(count, 4 * 256),
            .stream = stream,
            .name = name,
            .work = {bytes * count, 3.0 * count}};
}

} // namespace

void CudaBackend::add_noise(Vector<float> x, const NoiseLevel& level, const RandomStream& random) {
    launch(quad_access(x.size, {x.data}) ? add_noise_kernel<true> : add_noise_kernel<false>,
           quads(x.size, stream_, "add_noise", 8), x.data, x.size, level, random);
}

void CudaBackend::interpolate_rows(Matrix<float> y, Matrix<const float> a, Matrix<const float> b,
                                   const RandomStream& random) {
    launch(interpolate_rows_kernel,
           {.grid = static_cast<unsigned>(y.rows),
            .stream = stream_,
            .name = "interpolate_rows",
            .work = {12.0 * y.size(), 3.0 * y.size()}},
           y.data, a.data, b.data, y.columns, random);
}

void CudaBackend::penalise_slope(Matrix<float> u, Vector<float> penalty, Matrix<const float> g,
                                 float weight) {
    launch(penalise_slope_kernel,
           {.grid = static_cast<unsigned>(g.rows),
            .block = reduction_block,
            .shared_bytes = sizeof(SlopeStorage),
            .stream = stream_,
            .name = "penalise_slope",
            .work = {8.0 * g.size() + 4.0 * penalty.size, 3.0 * g.size()}},
           u.data, penalty.data, g.data, g.columns, weight);
}

void CudaBackend::add_l1_gradient(Vector<float> d, Vector<const float> y,
                                  Vector<const float> target, float weight) {
    launch(quad_access(d.size, {d.data, y.data, target.data}) ? add_l1_gradient_kernel<true>
                                                              : add_l1_gradient_kernel<false>,
           quads(d.size, stream_, "add_l1_gradient", 16), d.data, y.data, target.data, d.size,
           weight);
}

void CudaBackend::running_mean(Vector<float> mean, Vector<const float> value,
                               const StepCount& count) {
    launch(quad_access(mean.size, {mean.data, value.data}) ? running_mean_kernel<true>
                                                           : running_mean_kernel<false>,
           quads(mean.size, stream_, "running_mean", 12), mean.data, value.data, mean.size, count);
}

} // namespace patchforge::cuda
