// Queries of black-box attacks: random directions are drawn by the backend's own fills, once for
// the queries and again for the estimate.
#include <algorithm>
#include <vector>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/philox_word.h"
#include "kernels/perturb_ball.h"

namespace patchforge {
namespace {

std::vector<float> directions(CpuBackend& backend, std::int64_t size, DirectionKind kind,
                              const RandomStream& random) {
    std::vector<float> u(static_cast<std::size_t>(size));
    if (kind == DirectionKind::normal) {
        backend.fill_normal({u.data(), size}, 0, 1, random);
    } else {
        backend.fill_uniform({u.data(), size}, 0, 1, random);
        for (float& value : u) {
            value = value >= 0.5f ? 1.0f : -1.0f;
        }
    }
    return u;
}

float bound_by_sign(float origin, float epsilon, bool positive) {
    const BallBounds bounds = ball_bounds(origin, epsilon);
    return positive ? bounds.high : bounds.low;
}

} // namespace

void CpuBackend::antithetic_queries(Matrix<float> query, Matrix<const float> x, float sigma,
                                    DirectionKind kind, const RandomStream& random) {
    const std::int64_t pairs = query.rows / 2;
    const std::int64_t per_row = pairs / x.rows;
    const std::vector<float> u = directions(*this, pairs * x.columns, kind, random);
    pool_.parallel_for(pairs, [&](std::int64_t pair) {
        const float* from = x.data + pair / per_row * x.columns;
        const float* direction = u.data() + pair * x.columns;
        float* plus = query.data + 2 * pair * x.columns;
        float* minus = plus + x.columns;
        for (std::int64_t i = 0; i < x.columns; ++i) {
            plus[i] = from[i] + sigma * direction[i];
            minus[i] = from[i] - sigma * direction[i];
        }
    });
}

void CpuBackend::antithetic_gradient(Matrix<float> g, Vector<const float> loss, float sigma,
                                     DirectionKind kind, const RandomStream& random,
                                     bool accumulate) {
    const std::int64_t pairs = loss.size / 2;
    const std::int64_t per_row = pairs / g.rows;
    const std::vector<float> u = directions(*this, pairs * g.columns, kind, random);
    const float factor = 1.0f / (2.0f * sigma * static_cast<float>(per_row));
    pool_.parallel_for(g.rows, [&](std::int64_t r) {
        float* to = g.data + r * g.columns;
        if (!accumulate) {
            std::fill_n(to, g.columns, 0.0f);
        }
        for (std::int64_t s = r * per_row; s < (r + 1) * per_row; ++s) {
            const float weight = factor * (loss.data[2 * s] - loss.data[2 * s + 1]);
            const float* direction = u.data() + s * g.columns;
            for (std::int64_t i = 0; i < g.columns; ++i) {
                to[i] += weight * direction[i];
            }
        }
    });
}

void CpuBackend::block_queries(Matrix<float> query, Matrix<const float> x, float h,
                               std::int64_t first, std::int64_t width) {
    const std::int64_t per_row = query.rows / 2 / x.rows;
    pool_.parallel_for(query.rows, [&](std::int64_t q) {
        const std::int64_t begin = std::min(first + q / 2 % per_row * width, x.columns);
        const std::int64_t end = std::min(begin + width, x.columns);
        float* to = query.data + q * x.columns;
        std::copy_n(x.data + q / 2 / per_row * x.columns, x.columns, to);
        for (std::int64_t i = begin; i < end; ++i) {
            to[i] += q % 2 == 0 ? h : -h;
        }
    });
}

void CpuBackend::block_gradient(Matrix<float> g, Vector<const float> loss, float h,
                                std::int64_t first, std::int64_t width) {
    const std::int64_t pairs = loss.size / 2;
    const std::int64_t per_row = pairs / g.rows;
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
        const std::int64_t begin = std::min(first + pair % per_row * width, g.columns);
        const std::int64_t end = std::min(begin + width, g.columns);
        const float slope = (loss.data[2 * pair] - loss.data[2 * pair + 1]) /
                            (2.0f * h * static_cast<float>(std::max<std::int64_t>(end - begin, 1)));
        std::fill(g.data + pair / per_row * g.columns + begin,
                  g.data + pair / per_row * g.columns + end, slope);
    }
}

void CpuBackend::square_stripes(Matrix<float> x, Matrix<const float> origin, RowValue epsilon,
                                Extent shape, const RandomStream& random) {
    const PhiloxStream stream = philox_stream(random);
    const std::int64_t plane = std::int64_t{shape.height} * shape.width;
    pool_.parallel_for(x.rows, [&](std::int64_t r) {
        for (std::int64_t c = 0; c < shape.channels; ++c) {
            for (std::int64_t column = 0; column < shape.width; ++column) {
                const std::int64_t stripe = (r * shape.channels + c) * shape.width + column;
                const bool positive = word(stream, static_cast<std::uint64_t>(stripe)) >> 31 != 0;
                const std::int64_t first = r * x.columns + c * plane + column;
                for (std::int64_t e = first; e < first + plane; e += shape.width) {
                    x.data[e] = bound_by_sign(origin.data[e], epsilon.at(r), positive);
                }
            }
        }
    });
}

void CpuBackend::square_proposal(Matrix<float> candidate, Matrix<const float> best,
                                 Matrix<const float> origin, RowValue epsilon, Extent shape,
                                 int side, const RandomStream& random) {
    const PhiloxStream stream = philox_stream(random);
    const auto place = [&](std::int64_t element, int extent) {
        const std::uint64_t choices = static_cast<std::uint64_t>(std::int64_t{extent} - side + 1);
        return static_cast<std::int64_t>(
            word(stream, static_cast<std::uint64_t>(element)) * choices >> 32);
    };
    pool_.parallel_for(candidate.rows, [&](std::int64_t r) {
        const std::int64_t start = r * candidate.columns;
        std::copy_n(best.data + start, candidate.columns, candidate.data + start);
        const std::int64_t left = place(8 * r, shape.width);
        const std::int64_t top = place(8 * r + 1, shape.height);
        for (std::int64_t c = 0; c < shape.channels; ++c) {
            const bool positive =
                word(stream, static_cast<std::uint64_t>(8 * r + 2 + c)) >> 31 != 0;
            for (std::int64_t row = top; row < top + side; ++row) {
                for (std::int64_t column = left; column < left + side; ++column) {
                    const std::int64_t e = start + (c * shape.height + row) * shape.width + column;
                    candidate.data[e] = bound_by_sign(origin.data[e], epsilon.at(r), positive);
                }
            }
        }
    });
}

} // namespace patchforge
