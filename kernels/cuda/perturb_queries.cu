// Queries of black-box attacks (formulas in kernels/operations/perturb.h). Directions are never
// stored: both the queries and the estimate draw them, one Philox counter (60 integer instructions)
// an element, which the 8 B that a pair of queries writes for it should hide on the devices this is
// built for (predicted).
//
//     antithetic_queries    an element of a direction a thread: 4 B read, 8 written
//     antithetic_gradient   a pixel a thread, over its row's directions in their order: 4 B written
//     block_*, square_*     4 to 12 B an element
#include <algorithm>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/instructions.h"
#include "kernels/cuda/philox.h"
#include "kernels/perturb_ball.h"

namespace patchforge::cuda {
namespace {

constexpr unsigned threads = 256;
constexpr std::int64_t most_rows_of_grid = 65535;

dim3 row_grid(std::int64_t rows, std::int64_t columns) {
    return {blocks_for(columns, threads), static_cast<unsigned>(std::min(rows, most_rows_of_grid)),
            1};
}

__device__ float direction_element(const PhiloxDraw& draw, std::int64_t element,
                                   DirectionKind kind) {
    if (kind == DirectionKind::sign) {
        return uniform_from_word(draw.word(element)) >= 0.5f ? 1.0f : -1.0f;
    }
    std::uint32_t word[4];
    draw.words(word, static_cast<std::uint32_t>(element / 4));
    const bool second_pair = (element & 2) != 0;
    const float radius = sqrtf(-2.0f * logf(uniform_from_word(second_pair ? word[2] : word[0])));
    const float half_turns = 2.0f * uniform_from_word(second_pair ? word[3] : word[1]);
    return radius * ((element & 1) != 0 ? cospif(half_turns) : sinpif(half_turns));
}

__global__ void __launch_bounds__(threads)
    antithetic_queries_kernel(float* query, const float* x, float sigma, DirectionKind kind,
                              RandomStream random, std::int64_t pairs, std::int64_t per_row,
                              std::int64_t columns) {
    begin_kernel();
    const std::int64_t column = std::int64_t{blockIdx.x} * threads + threadIdx.x;
    const PhiloxDraw draw(random);
    if (column < columns) {
        for (std::int64_t pair = blockIdx.y; pair < pairs; pair += gridDim.y) {
            const float from = x[pair / per_row * columns + column];
            const float u = direction_element(draw, pair * columns + column, kind);
            query[2 * pair * columns + column] = from + sigma * u;
            query[(2 * pair + 1) * columns + column] = from - sigma * u;
        }
    }
}

__global__ void __launch_bounds__(threads)
    antithetic_gradient_kernel(float* g, const float* loss, float factor, DirectionKind kind,
                               RandomStream random, bool accumulate, std::int64_t rows,
                               std::int64_t per_row, std::int64_t columns) {
    begin_kernel();
    const std::int64_t column = std::int64_t{blockIdx.x} * threads + threadIdx.x;
    const PhiloxDraw draw(random);
    if (column < columns) {
        for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
            float* to = g + row * columns + column;
            float sum = accumulate ? *to : 0.0f;
            for (std::int64_t pair = row * per_row; pair < (row + 1) * per_row; ++pair) {
                const float weight = factor * (loss[2 * pair] - loss[2 * pair + 1]);
                sum += weight * direction_element(draw, pair * columns + column, kind);
            }
            *to = sum;
        }
    }
}

__global__ void __launch_bounds__(threads)
    block_queries_kernel(float* query, const float* x, float h, std::int64_t first,
                         std::int64_t width, std::int64_t queries, std::int64_t per_row,
                         std::int64_t columns) {
    begin_kernel();
    const std::int64_t column = std::int64_t{blockIdx.x} * threads + threadIdx.x;
    if (column < columns) {
        for (std::int64_t q = blockIdx.y; q < queries; q += gridDim.y) {
            const std::int64_t begin = first + q / 2 % per_row * width;
            const bool inside = column >= begin && column < begin + width;
            const float change = !inside ? 0.0f : q % 2 == 0 ? h : -h;
            query[q * columns + column] = x[q / 2 / per_row * columns + column] + change;
        }
    }
}

__global__ void __launch_bounds__(threads)
    block_gradient_kernel(float* g, const float* loss, float h, std::int64_t first,
                          std::int64_t width, std::int64_t rows, std::int64_t per_row,
                          std::int64_t columns) {
    begin_kernel();
    const std::int64_t column = std::int64_t{blockIdx.x} * threads + threadIdx.x;
    const std::int64_t block = column < first ? per_row : (column - first) / width;
    if (column < columns && block < per_row) {
        const std::int64_t begin = first + block * width;
        const std::int64_t end = begin + width < columns ? begin + width : columns;
        for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
            const float* pair = loss + 2 * (row * per_row + block);
            g[row * columns + column] =
                (pair[0] - pair[1]) / (2.0f * h * static_cast<float>(end - begin));
        }
    }
}

__device__ float bound_by_sign(float origin, float epsilon, std::uint32_t word) {
    const BallBounds bounds = ball_bounds(origin, epsilon);
    return word >> 31 != 0 ? bounds.high : bounds.low;
}

__global__ void __launch_bounds__(threads)
    square_stripes_kernel(float* x, const float* origin, RowValue epsilon, Extent shape,
                          RandomStream random, std::int64_t rows, std::int64_t columns) {
    begin_kernel();
    const std::int64_t pixel = std::int64_t{blockIdx.x} * threads + threadIdx.x;
    const PhiloxDraw draw(random);
    if (pixel < columns) {
        const std::int64_t channel = pixel / (std::int64_t{shape.height} * shape.width);
        for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
            const std::int64_t stripe =
                (row * shape.channels + channel) * shape.width + pixel % shape.width;
            const std::int64_t i = row * columns + pixel;
            x[i] = bound_by_sign(origin[i], epsilon.at(row), draw.word(stripe));
        }
    }
}

__global__ void __launch_bounds__(threads)
    square_proposal_kernel(float* candidate, const float* best, const float* origin,
                           RowValue epsilon, Extent shape, int side, RandomStream random,
                           std::int64_t rows, std::int64_t columns) {
    begin_kernel();
    const std::int64_t pixel = std::int64_t{blockIdx.x} * threads + threadIdx.x;
    const PhiloxDraw draw(random);
    if (pixel < columns) {
        const std::int64_t channel = pixel / (std::int64_t{shape.height} * shape.width);
        const std::int64_t line = pixel / shape.width % shape.height;
        const std::int64_t column = pixel % shape.width;
        for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
            const std::int64_t left =
                __umulhi(draw.word(8 * row), static_cast<unsigned>(shape.width - side + 1));
            const std::int64_t top =
                __umulhi(draw.word(8 * row + 1), static_cast<unsigned>(shape.height - side + 1));
            const bool inside =
                line >= top && line < top + side && column >= left && column < left + side;
            const std::int64_t i = row * columns + pixel;
            candidate[i] =
                inside ? bound_by_sign(origin[i], epsilon.at(row), draw.word(8 * row + 2 + channel))
                       : best[i];
        }
    }
}

} // namespace

void CudaBackend::antithetic_queries(Matrix<float> query, Matrix<const float> x, float sigma,
                                     DirectionKind kind, const RandomStream& random) {
    const std::int64_t pairs = query.rows / 2;
    launch(antithetic_queries_kernel,
           {.grid = row_grid(pairs, x.columns),
            .block = threads,
            .stream = stream_,
            .name = "antithetic_queries",
            .work = {4.0 * query.size() + 4.0 * x.size(), 40.0 * query.size()}},
           query.data, x.data, sigma, kind, random, pairs, pairs / x.rows, x.columns);
}

void CudaBackend::antithetic_gradient(Matrix<float> g, Vector<const float> loss, float sigma,
                                      DirectionKind kind, const RandomStream& random,
                                      bool accumulate) {
    const std::int64_t per_row = loss.size / 2 / g.rows;
    const float factor = 1.0f / (2.0f * sigma * static_cast<float>(per_row));
    launch(antithetic_gradient_kernel,
           {.grid = row_grid(g.rows, g.columns),
            .block = threads,
            .stream = stream_,
            .name = "antithetic_gradient",
            .work = {4.0 * g.size() + 4.0 * loss.size, 40.0 * loss.size * g.columns}},
           g.data, loss.data, factor, kind, random, accumulate, g.rows, per_row, g.columns);
}

void CudaBackend::block_queries(Matrix<float> query, Matrix<const float> x, float h,
                                std::int64_t first, std::int64_t width) {
    launch(block_queries_kernel,
           {.grid = row_grid(query.rows, x.columns),
            .block = threads,
            .stream = stream_,
            .name = "block_queries",
            .work = {4.0 * query.size() + 4.0 * x.size(), 1.0 * query.size()}},
           query.data, x.data, h, first, width, query.rows, query.rows / 2 / x.rows, x.columns);
}

void CudaBackend::block_gradient(Matrix<float> g, Vector<const float> loss, float h,
                                 std::int64_t first, std::int64_t width) {
    launch(block_gradient_kernel,
           {.grid = row_grid(g.rows, g.columns),
            .block = threads,
            .stream = stream_,
            .name = "block_gradient",
            .work = {4.0 * loss.size + 2.0 * loss.size * width, 3.0 * loss.size}},
           g.data, loss.data, h, first, width, g.rows, loss.size / 2 / g.rows, g.columns);
}

void CudaBackend::square_stripes(Matrix<float> x, Matrix<const float> origin, RowValue epsilon,
                                 Extent shape, const RandomStream& random) {
    launch(square_stripes_kernel,
           {.grid = row_grid(x.rows, x.columns),
            .block = threads,
            .stream = stream_,
            .name = "square_stripes",
            .work = {8.0 * x.size(), 70.0 * x.size()}},
           x.data, origin.data, epsilon, shape, random, x.rows, x.columns);
}

void CudaBackend::square_proposal(Matrix<float> candidate, Matrix<const float> best,
                                  Matrix<const float> origin, RowValue epsilon, Extent shape,
                                  int side, const RandomStream& random) {
    launch(square_proposal_kernel,
           {.grid = row_grid(candidate.rows, candidate.columns),
            .block = threads,
            .stream = stream_,
            .name = "square_proposal",
            .work = {8.0 * candidate.size(), 120.0 * candidate.size()}},
           candidate.data, best.data, origin.data, epsilon, shape, side, random, candidate.rows,
           candidate.columns);
}

} // namespace patchforge::cuda
