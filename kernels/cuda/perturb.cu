// Pixels of attacks (formulas in kernels/operations/perturb.h).
//
//     linf_step             4 elements a thread; 12 B read and 4 written an element: PGD's step. A
//                           batch of 64 patches of 7500 is 7.7 MB: predicted 2.3 us at 3.35 TB/s; a
//                           GPU's L2 holds all.
//     radial_step           a block a row, since its sums span the row; each pass rereads what
//                           its own threads wrote: no barrier between passes but the sums'
//     row_norms             a block a row, 4 or 8 B an element
//     accumulate_direction  a block a row, 16 B an element
//     the others            an element a thread, 12 B an element
#include <algorithm>

#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"
#include "kernels/perturb_ball.h"

namespace patchforge::cuda {
namespace {

constexpr unsigned threads = 256;
constexpr std::int64_t most_rows_of_grid = 65535;

// Rows along y, as far as a grid goes; kernels step on by gridDim.y.
dim3 row_grid(std::int64_t rows, std::int64_t columns, std::int64_t columns_per_block) {
    return {blocks_for(columns, columns_per_block),
            static_cast<unsigned>(std::min(rows, most_rows_of_grid)), 1};
}

__device__ float moved(float x, float d, float factor, StepRule rule, float x0) {
    const float step = rule == StepRule::sign ? sign_of(d) : d;
    const float v = factor == 0.0f ? x : x + factor * step;
    return is_finite(v) ? v : x0;
}

__device__ float into(BallBounds bounds, float v) {
    return fminf(fmaxf(v, bounds.low), bounds.high);
}

// Steps whose pixels do not depend on each other: sign or plain, into the L-infinity ball or the
// box.
template <bool vectors>
__global__ void __launch_bounds__(threads)
    linf_step_kernel(float* y, const float* x, const float* direction, const float* origin,
                     RowValue alpha, RowValue epsilon, std::int64_t rows, std::int64_t columns,
                     StepRule rule, bool in_ball) {
    begin_kernel();
    const std::int64_t column = 4 * (std::int64_t{blockIdx.x} * threads + threadIdx.x);
    for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
        const std::int64_t first = row * columns + column;
        const std::int64_t available = columns - column;
        const float step = alpha.at(row);
        const float radius = epsilon.at(row);
        float from[4];
        float along[4] = {};
        float centre[4] = {};
        load_quad<vectors>(from, x + first, available);
        if (direction) {
            load_quad<vectors>(along, direction + first, available);
        }
        if (in_ball) {
            load_quad<vectors>(centre, origin + first, available);
        }
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            const BallBounds bounds =
                in_ball ? ball_bounds(centre[i], radius) : BallBounds{0.0f, 1.0f};
            from[i] = into(bounds, moved(from[i], along[i], step, rule, centre[i]));
        }
        store_quad<vectors>(y + first, from, available);
    }
}

struct NormStorage {
    BlockSumStorage<1> sum;
    double total;
};

// The sum over the block, known to all threads.
__device__ double total_of_block(double value, NormStorage& storage) {
    double sum[1] = {value};
    sum_over_block(sum, storage.sum);
    if (threadIdx.x == 0) {
        storage.total = sum[0];
    }
    __syncthreads();
    const double total = storage.total;
    __syncthreads(); // the storage may be used again
    return total;
}

__device__ double norm_term(double d, bool squared) {
    return squared ? d * d : fabs(d);
}

// alpha / ||direction||, or 0 where the row has no direction.
__device__ float unit_factor(const float* direction, std::int64_t columns, float alpha, bool l2,
                             NormStorage& storage) {
    double sum = 0.0;
    for (std::int64_t i = threadIdx.x; i < columns; i += threads) {
        sum += norm_term(direction[i], l2);
    }
    sum = total_of_block(sum, storage);
    const double norm = l2 ? sqrt(sum) : sum;
    return norm > 0.0 && norm - norm == 0.0 ? static_cast<float>(alpha / norm) : 0.0f;
}

__global__ void __launch_bounds__(threads)
    radial_step_kernel(float* y, const float* x, const float* direction, const float* origin,
                       RowValue alpha, RowValue epsilon, std::int64_t columns, StepRule rule,
                       Ball ball) {
    begin_kernel();
    auto& storage = shared<NormStorage>();
    const std::int64_t first = std::int64_t{blockIdx.x} * columns;
    const float radius = epsilon.at(blockIdx.x);
    float factor = alpha.at(blockIdx.x);
    if (direction && (rule == StepRule::unit_l2 || rule == StepRule::unit_l1)) {
        factor =
            unit_factor(direction + first, columns, factor, rule == StepRule::unit_l2, storage);
    }
    double sum = 0.0;
    for (std::int64_t i = first + threadIdx.x; i < first + columns; i += threads) {
        const float x0 = ball == Ball::none ? 0.0f : origin[i];
        const BallBounds bounds =
            ball == Ball::linf ? ball_bounds(x0, radius) : BallBounds{0.0f, 1.0f};
        const float d = factor == 0.0f || !direction ? 0.0f : direction[i];
        const float v = into(bounds, moved(x[i], d, factor, rule, x0));
        y[i] = v;
        sum += norm_term(static_cast<double>(v) - x0, ball == Ball::l2);
    }
    if (ball == Ball::l2 || ball == Ball::l1) {
        sum = total_of_block(sum, storage);
        const double distance = ball == Ball::l2 ? sqrt(sum) : sum;
        if (distance > static_cast<double>(radius) * radial_margin) {
            const float shrink = static_cast<float>(radius / distance * radial_margin);
            for (std::int64_t i = first + threadIdx.x; i < first + columns; i += threads) {
                y[i] = add_towards(origin[i], __fmul_rn(shrink, y[i] - origin[i]));
            }
        }
    }
}

// The larger one; a NaN on either side stays.
__device__ double larger(double a, double b) {
    return a >= b || a != a ? a : b;
}

__global__ void __launch_bounds__(threads)
    row_norms_kernel(float* out, const float* a, const float* b, std::int64_t columns, Norm norm) {
    begin_kernel();
    auto& storage = shared<NormStorage>();
    const std::int64_t first = std::int64_t{blockIdx.x} * columns;
    double value = 0.0;
    for (std::int64_t i = first + threadIdx.x; i < first + columns; i += threads) {
        const double d = static_cast<double>(a[i]) - (b ? b[i] : 0.0f);
        const double size = norm_term(d, norm == Norm::l2);
        value = norm == Norm::linf ? larger(value, size) : value + size;
    }
    if (norm == Norm::linf) {
        for (int distance = 16; distance > 0; distance /= 2) {
            value = larger(value, __shfl_xor_sync(0xffffffffu, value, distance));
        }
        if (threadIdx.x % 32 == 0) {
            storage.sum.of_warp[0][threadIdx.x / 32] = value;
        }
        __syncthreads();
        for (unsigned warp = 0; warp < threads / 32; ++warp) {
            value = larger(value, storage.sum.of_warp[0][warp]);
        }
    } else {
        value = total_of_block(value, storage);
    }
    if (threadIdx.x == 0) {
        out[blockIdx.x] = static_cast<float>(norm == Norm::l2 ? sqrt(value) : value);
    }
}

__global__ void __launch_bounds__(threads)
    accumulate_direction_kernel(float* m, const float* g, std::int64_t columns, float decay) {
    begin_kernel();
    auto& storage = shared<NormStorage>();
    const std::int64_t first = std::int64_t{blockIdx.x} * columns;
    const float factor = unit_factor(g + first, columns, 1.0f, false, storage);
    for (std::int64_t i = first + threadIdx.x; i < first + columns; i += threads) {
        m[i] = decay * m[i] + (factor == 0.0f ? 0.0f : factor * g[i]);
    }
}

__global__ void __launch_bounds__(threads)
    affine_kernel(float* y, const float* x, std::int64_t count, float scale, float shift) {
    begin_kernel();
    const std::int64_t i = std::int64_t{blockIdx.x} * threads + threadIdx.x;
    if (i < count) {
        y[i] = x[i] * scale + shift;
    }
}

__global__ void __launch_bounds__(threads)
    weighted_sum_kernel(float* y, const float* a, float wa, const float* b, float wb,
                        const float* c, float wc, std::int64_t count) {
    begin_kernel();
    const std::int64_t i = std::int64_t{blockIdx.x} * threads + threadIdx.x;
    if (i < count) {
        float sum = wa * a[i];
        sum += b ? wb * b[i] : 0.0f;
        sum += c ? wc * c[i] : 0.0f;
        y[i] = sum;
    }
}

__global__ void __launch_bounds__(threads)
    add_distance_gradient_kernel(float* g, const float* x, const float* origin, RowValue weight,
                                 std::int64_t rows, std::int64_t columns) {
    begin_kernel();
    const std::int64_t column = std::int64_t{blockIdx.x} * threads + threadIdx.x;
    if (column < columns) {
        for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
            const std::int64_t i = row * columns + column;
            g[i] += 2.0f * weight.at(row) * (x[i] - origin[i]);
        }
    }
}

// Products are kept apart from sums (__fmul_rn), so that levels are those of the CPU backend.
__device__ std::uint8_t grid_level(float x, float x0, float epsilon, float threshold) {
    const float q = __fmul_rn(255.0f, x);
    const float q0 = __fmul_rn(255.0f, x0);
    const float radius = __fmul_rn(255.0f, epsilon);
    const float lowest = fmaxf(0.0f, ceilf(q0 - radius - grid_slack));
    const float highest = fminf(255.0f, floorf(q0 + radius + grid_slack));
    float level;
    if (q >= q0) {
        level = floorf(q + grid_slack);
        level += q - level >= threshold ? 1.0f : 0.0f;
    } else {
        level = ceilf(q - grid_slack);
        level -= level - q >= threshold ? 1.0f : 0.0f;
    }
    level = lowest > highest ? rintf(q0) : fminf(fmaxf(level, lowest), highest);
    return static_cast<std::uint8_t>(level);
}

__global__ void __launch_bounds__(threads)
    round_to_grid_kernel(std::uint8_t* levels, const float* x, const float* origin,
                         RowValue epsilon, RowValue threshold, std::int64_t rows,
                         std::int64_t columns) {
    begin_kernel();
    const std::int64_t column = std::int64_t{blockIdx.x} * threads + threadIdx.x;
    if (column < columns) {
        for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
            const std::int64_t i = row * columns + column;
            levels[i] = grid_level(x[i], origin[i], epsilon.at(row), threshold.at(row));
        }
    }
}

// select: out[r] = in[index[r]]; otherwise out[index[r]] = in[r].
__global__ void __launch_bounds__(threads)
    move_rows_kernel(float* out, const float* in, const std::int32_t* index, std::int64_t rows,
                     std::int64_t columns, bool select) {
    begin_kernel();
    const std::int64_t column = std::int64_t{blockIdx.x} * threads + threadIdx.x;
    if (column < columns) {
        for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
            const std::int64_t other = index[row];
            if (other >= 0) {
                const std::int64_t to = select ? row : other;
                const std::int64_t from = select ? other : row;
                out[to * columns + column] = in[from * columns + column];
            }
        }
    }
}

} // namespace

void CudaBackend::affine(Vector<float> y, Vector<const float> x, float scale, float shift) {
    launch(affine_kernel,
           {.grid = blocks_for(y.size, threads),
            .block = threads,
            .stream = stream_,
            .name = "affine",
            .work = {8.0 * y.size, 2.0 * y.size}},
           y.data, x.data, y.size, scale, shift);
}

void CudaBackend::weighted_sum(Vector<float> y, Vector<const float> a, float wa,
                               Vector<const float> b, float wb, Vector<const float> c, float wc) {
    launch(weighted_sum_kernel,
           {.grid = blocks_for(y.size, threads),
            .block = threads,
            .stream = stream_,
            .name = "weighted_sum",
            .work = {8.0 * y.size + 4.0 * (b.size + c.size), 6.0 * y.size}},
           y.data, a.data, wa, b.data, wb, c.data, wc, y.size);
}

void CudaBackend::perturb_step(Matrix<float> y, Matrix<const float> x,
                               Matrix<const float> direction, Matrix<const float> origin,
                               RowValue alpha, RowValue epsilon, StepRule rule, Ball ball) {
    const bool another_origin = ball != Ball::none && origin.data != x.data;
    const int operands = 2 + (direction.data != nullptr) + another_origin;
    const Work work = {4.0 * operands * y.size(), 12.0 * y.size()};
    const bool pixelwise = (rule == StepRule::sign || rule == StepRule::plain) &&
                           (ball == Ball::linf || ball == Ball::none);
    if (pixelwise) {
        const bool vectors = quad_access(y.columns, {y.data, x.data, direction.data, origin.data});
        launch(vectors ? linf_step_kernel<true> : linf_step_kernel<false>,
               {.grid = row_grid(y.rows, y.columns, 4 * threads),
                .block = threads,
                .stream = stream_,
                .name = "linf_step",
                .work = work},
               y.data, x.data, direction.data, origin.data, alpha, epsilon, y.rows, y.columns, rule,
               ball == Ball::linf);
    } else {
        launch(radial_step_kernel,
               {.grid = static_cast<unsigned>(y.rows),
                .block = threads,
                .shared_bytes = sizeof(NormStorage),
                .stream = stream_,
                .name = "radial_step",
                .work = work},
               y.data, x.data, direction.data, origin.data, alpha, epsilon, y.columns, rule, ball);
    }
}

void CudaBackend::row_norms(Vector<float> out, Matrix<const float> a, Matrix<const float> b,
                            Norm norm) {
    launch(row_norms_kernel,
           {.grid = static_cast<unsigned>(a.rows),
            .block = threads,
            .shared_bytes = sizeof(NormStorage),
            .stream = stream_,
            .name = "row_norms",
            .work = {(b.data ? 8.0 : 4.0) * a.size(), 3.0 * a.size()}},
           out.data, a.data, b.data, a.columns, norm);
}

void CudaBackend::accumulate_direction(Matrix<float> m, Matrix<const float> g, float decay) {
    launch(accumulate_direction_kernel,
           {.grid = static_cast<unsigned>(m.rows),
            .block = threads,
            .shared_bytes = sizeof(NormStorage),
            .stream = stream_,
            .name = "accumulate_direction",
            .work = {12.0 * m.size(), 5.0 * m.size()}},
           m.data, g.data, m.columns, decay);
}

void CudaBackend::add_distance_gradient(Matrix<float> g, Matrix<const float> x,
                                        Matrix<const float> origin, RowValue weight) {
    launch(add_distance_gradient_kernel,
           {.grid = row_grid(g.rows, g.columns, threads),
            .block = threads,
            .stream = stream_,
            .name = "add_distance_gradient",
            .work = {16.0 * g.size(), 4.0 * g.size()}},
           g.data, x.data, origin.data, weight, g.rows, g.columns);
}

void CudaBackend::round_to_grid(Matrix<std::uint8_t> levels, Matrix<const float> x,
                                Matrix<const float> origin, RowValue epsilon, RowValue threshold) {
    launch(round_to_grid_kernel,
           {.grid = row_grid(levels.rows, levels.columns, threads),
            .block = threads,
            .stream = stream_,
            .name = "round_to_grid",
            .work = {9.0 * levels.size(), 15.0 * levels.size()}},
           levels.data, x.data, origin.data, epsilon, threshold, levels.rows, levels.columns);
}

void CudaBackend::select_rows(Matrix<float> out, Matrix<const float> in,
                              Vector<const std::int32_t> index) {
    launch(move_rows_kernel,
           {.grid = row_grid(index.size, in.columns, threads),
            .block = threads,
            .stream = stream_,
            .name = "select_rows",
            .work = {8.0 * index.size * in.columns, 0}},
           out.data, in.data, index.data, index.size, in.columns, true);
}

void CudaBackend::place_rows(Matrix<float> out, Matrix<const float> in,
                             Vector<const std::int32_t> index) {
    launch(move_rows_kernel,
           {.grid = row_grid(index.size, in.columns, threads),
            .block = threads,
            .stream = stream_,
            .name = "place_rows",
            .work = {8.0 * index.size * in.columns, 0}},
           out.data, in.data, index.data, index.size, in.columns, false);
}

} // namespace patchforge::cuda
