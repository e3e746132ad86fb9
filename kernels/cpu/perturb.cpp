// Pixels of attacks: a task is a row, or a piece of one where pixels do not depend on each other.
// Sums over a row run in float64 from its first pixel to its last.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/perturb_ball.h"

namespace patchforge {
namespace {

constexpr std::int64_t piece = 16384;

double norm_of(const float* a, const float* b, std::int64_t count, Norm norm) {
    double total = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const double d = static_cast<double>(a[i]) - (b ? static_cast<double>(b[i]) : 0.0);
        switch (norm) {
        case Norm::l1:
            total += std::fabs(d);
            break;
        case Norm::l2:
            total += d * d;
            break;
        case Norm::linf:
            total = std::isnan(d) ? d : std::max(total, std::fabs(d));
            break;
        }
    }
    return norm == Norm::l2 ? std::sqrt(total) : total;
}

struct Row {
    float* y;
    const float* x;
    const float* direction; // not read when alpha is 0
    const float* origin;    // null for Ball::none
    std::int64_t count;
};

// d's factor under a rule: alpha, alpha / norm, or 0 where there is no direction.
float factor_of(const Row& row, float alpha, StepRule rule) {
    if (alpha == 0.0f || rule == StepRule::sign || rule == StepRule::plain) {
        return alpha;
    }
    const double norm =
        norm_of(row.direction, nullptr, row.count, rule == StepRule::unit_l2 ? Norm::l2 : Norm::l1);
    return norm > 0 && std::isfinite(norm) ? static_cast<float>(alpha / norm) : 0.0f;
}

void general_step(const Row& row, float alpha, float epsilon, StepRule rule, Ball ball) {
    const float factor = factor_of(row, alpha, rule);
    // x and direction may be y, element by element: that hinders no vector ("ivdep").
    if (factor == 0.0f) {
        std::copy_n(row.x, row.count, row.y);
    } else if (rule == StepRule::sign) {
#pragma GCC ivdep
        for (std::int64_t i = 0; i < row.count; ++i) {
            row.y[i] = row.x[i] + factor * sign_of(row.direction[i]);
        }
    } else {
#pragma GCC ivdep
        for (std::int64_t i = 0; i < row.count; ++i) {
            row.y[i] = row.x[i] + factor * row.direction[i];
        }
    }
    for (std::int64_t i = 0; i < row.count; ++i) {
        const float x0 = row.origin ? row.origin[i] : 0.0f;
        const float v = is_finite(row.y[i]) ? row.y[i] : x0;
        const BallBounds bounds = ball == Ball::linf ? ball_bounds(x0, epsilon) : BallBounds{0, 1};
        row.y[i] = std::min(std::max(v, bounds.low), bounds.high);
    }
    if (ball == Ball::l2 || ball == Ball::l1) {
        const double distance =
            norm_of(row.y, row.origin, row.count, ball == Ball::l2 ? Norm::l2 : Norm::l1);
        if (distance > static_cast<double>(epsilon) * radial_margin) {
            const auto shrink = static_cast<float>(epsilon / distance * radial_margin);
            for (std::int64_t i = 0; i < row.count; ++i) {
                row.y[i] = add_towards(row.origin[i], shrink * (row.y[i] - row.origin[i]));
            }
        }
    }
}

// For |v| < 2^31. Without SSE4.1, which not every x86-64 has, std::floor and std::ceil are calls.
float floor_of(float v) {
    const auto truncated = static_cast<float>(static_cast<std::int32_t>(v));
    return truncated - (truncated > v ? 1.0f : 0.0f);
}
float ceil_of(float v) {
    return -floor_of(-v);
}

// See round_to_grid in kernels/operations/perturb.h. Every choice is a selection, so that the loop
// over pixels becomes vector instructions.
std::uint8_t grid_level(float x, float x0, float epsilon, float threshold) {
    const float q = 255.0f * x;
    const float q0 = 255.0f * x0;
    const float reach = std::min(255.0f * epsilon, 256.0f);
    const float lowest = std::max(0.0f, ceil_of(q0 - reach - grid_slack));
    const float highest = std::min(255.0f, floor_of(q0 + reach + grid_slack));
    const float below = floor_of(q + grid_slack);
    const float above = ceil_of(q - grid_slack);
    const float up = below + (q - below >= threshold ? 1.0f : 0.0f);
    const float down = above - (above - q >= threshold ? 1.0f : 0.0f);
    const float wanted = q >= q0 ? up : down;
    const float bounded = std::min(std::max(wanted, lowest), highest);
    // Ties to even, as std::rint: adding 2^23 leaves no bits for a fraction.
    const float nearest = (q0 + 0x1p23f) - 0x1p23f;
    return static_cast<std::uint8_t>(
        static_cast<std::int32_t>(lowest > highest ? nearest : bounded));
}

} // namespace

void CpuBackend::affine(Vector<float> y, Vector<const float> x, float scale, float shift) {
    for_pieces(y.size, piece, [&](std::int64_t first, std::int64_t count) {
        vector_.affine(y.data + first, x.data + first, count, scale, shift);
    });
}

void CpuBackend::weighted_sum(Vector<float> y, Vector<const float> a, float wa,
                              Vector<const float> b, float wb, Vector<const float> c, float wc) {
    for_pieces(y.size, piece, [&](std::int64_t first, std::int64_t count) {
        if (b.data && !c.data) { // what sums of gradients are: in vectors, with the same roundings
#pragma GCC ivdep                // y is a or b, or lies apart
            for (std::int64_t i = first; i < first + count; ++i) {
                y.data[i] = wa * a.data[i] + wb * b.data[i] + 0.0f;
            }
            return;
        }
        for (std::int64_t i = first; i < first + count; ++i) {
            float sum = wa * a.data[i];
            sum += b.data ? wb * b.data[i] : 0.0f;
            sum += c.data ? wc * c.data[i] : 0.0f;
            y.data[i] = sum;
        }
    });
}

void CpuBackend::perturb_step(Matrix<float> y, Matrix<const float> x, Matrix<const float> direction,
                              Matrix<const float> origin, RowValue alpha, RowValue epsilon,
                              StepRule rule, Ball ball) {
    const auto row_of = [](auto matrix, std::int64_t row) {
        return matrix.data ? matrix.data + row * matrix.columns : nullptr;
    };
    pool_.parallel_for(y.rows, [&](std::int64_t r) {
        const Row row{row_of(y, r), row_of(x, r), row_of(direction, r),
                      ball == Ball::none ? nullptr : row_of(origin, r), y.columns};
        if (rule == StepRule::sign && ball == Ball::linf && alpha.at(r) != 0.0f) {
            vector_.sign_step(row.y, row.x, row.direction, row.origin, row.count, alpha.at(r),
                              epsilon.at(r));
        } else {
            general_step(row, alpha.at(r), epsilon.at(r), rule, ball);
        }
    });
}

void CpuBackend::row_norms(Vector<float> out, Matrix<const float> a, Matrix<const float> b,
                           Norm norm) {
    pool_.parallel_for(a.rows, [&](std::int64_t r) {
        const std::int64_t at = r * a.columns;
        out.data[r] = static_cast<float>(
            norm_of(a.data + at, b.data ? b.data + at : nullptr, a.columns, norm));
    });
}

void CpuBackend::accumulate_direction(Matrix<float> m, Matrix<const float> g, float decay) {
    pool_.parallel_for(m.rows, [&](std::int64_t r) {
        const float* from = g.data + r * g.columns;
        float* to = m.data + r * m.columns;
        const double norm = norm_of(from, nullptr, g.columns, Norm::l1);
        const auto factor = static_cast<float>(norm > 0 && std::isfinite(norm) ? 1 / norm : 0);
        for (std::int64_t i = 0; i < m.columns; ++i) {
            to[i] = decay * to[i] + (factor == 0.0f ? 0.0f : factor * from[i]);
        }
    });
}

void CpuBackend::add_distance_gradient(Matrix<float> g, Matrix<const float> x,
                                       Matrix<const float> origin, RowValue weight) {
    pool_.parallel_for(g.rows, [&](std::int64_t r) {
        const float factor = 2.0f * weight.at(r);
        for (std::int64_t i = r * g.columns; i < (r + 1) * g.columns; ++i) {
            g.data[i] += factor * (x.data[i] - origin.data[i]);
        }
    });
}

void CpuBackend::round_to_grid(Matrix<std::uint8_t> levels, Matrix<const float> x,
                               Matrix<const float> origin, RowValue epsilon, RowValue threshold) {
    pool_.parallel_for(levels.rows, [&](std::int64_t r) {
        const std::int64_t start = r * levels.columns;
        std::uint8_t* to = levels.data + start;
        const float* from = x.data + start;
        const float* x0 = origin.data + start;
        const float eps = epsilon.at(r);
        const float limit = threshold.at(r);
        const std::int64_t count = levels.columns; // not read again: bytes may alias anything
        for (std::int64_t i = 0; i < count; ++i) {
            to[i] = grid_level(from[i], x0[i], eps, limit);
        }
    });
}

void CpuBackend::select_rows(Matrix<float> out, Matrix<const float> in,
                             Vector<const std::int32_t> index) {
    pool_.parallel_for(index.size, [&](std::int64_t r) {
        if (index.data[r] >= 0) {
            std::copy_n(in.data + index.data[r] * in.columns, in.columns,
                        out.data + r * out.columns);
        }
    });
}

void CpuBackend::place_rows(Matrix<float> out, Matrix<const float> in,
                            Vector<const std::int32_t> index) {
    pool_.parallel_for(index.size, [&](std::int64_t r) {
        if (index.data[r] >= 0) {
            std::copy_n(in.data + r * in.columns, in.columns,
                        out.data + index.data[r] * out.columns);
        }
    });
}

} // namespace patchforge
