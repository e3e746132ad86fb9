// kernels/operations/perturb.h in float64.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/operations/perturb.h"
#include "tests/oracle/matrix.h"
#include "tests/oracle/noise.h"
#include "tests/oracle/philox.h"

namespace patchforge::oracle {

inline double norm_of(const std::vector<double>& d, Norm norm) {
    double total = 0;
    for (const double v : d) {
        total = norm == Norm::linf ? std::max(total, std::fabs(v))
                                   : total + (norm == Norm::l1 ? std::fabs(v) : v * v);
    }
    return norm == Norm::l2 ? std::sqrt(total) : total;
}

inline double sign(double d) {
    return d > 0 ? 1 : d < 0 ? -1 : 0;
}

// One row.
inline std::vector<double> perturb_step(const std::vector<double>& x, const std::vector<double>& d,
                                        const std::vector<double>& origin, double alpha,
                                        double epsilon, StepRule rule, Ball ball) {
    double length = 1;
    if (rule == StepRule::unit_l2 || rule == StepRule::unit_l1) {
        length = norm_of(d, rule == StepRule::unit_l2 ? Norm::l2 : Norm::l1);
    }
    std::vector<double> y = x;
    for (std::size_t i = 0; i < x.size(); ++i) {
        if (length > 0 && std::isfinite(length) && alpha != 0) {
            y[i] += alpha * (rule == StepRule::sign ? sign(d[i]) : d[i] / length);
        }
        if (!std::isfinite(y[i])) {
            y[i] = ball == Ball::none ? 0 : origin[i];
        }
        if (ball == Ball::linf) {
            y[i] = std::clamp(y[i], origin[i] - epsilon, origin[i] + epsilon);
        }
        y[i] = std::clamp(y[i], 0.0, 1.0);
    }
    if (ball == Ball::l2 || ball == Ball::l1) {
        std::vector<double> change;
        for (std::size_t i = 0; i < y.size(); ++i) {
            change.push_back(y[i] - origin[i]);
        }
        const double distance = norm_of(change, ball == Ball::l2 ? Norm::l2 : Norm::l1);
        const double shrink = distance > 0 ? std::min(1.0, epsilon / distance) : 1;
        for (std::size_t i = 0; i < y.size(); ++i) {
            y[i] = origin[i] + shrink * change[i];
        }
    }
    return y;
}

// Exhaustive: of all levels within the ball and the box, and not beyond x rounded to `threshold`.
inline int grid_level(double x, double x0, double epsilon, double threshold) {
    const double q = 255 * x, q0 = 255 * x0, slack = 1e-3;
    int best = -1;
    double best_distance = 1e9;
    // Where the rounding of |q - q0| away from q0 would go without any ball.
    double wanted;
    if (q >= q0) {
        const double whole = std::floor(q + slack);
        wanted = whole + (q - whole >= threshold ? 1 : 0);
    } else {
        const double whole = std::ceil(q - slack);
        wanted = whole - (whole - q >= threshold ? 1 : 0);
    }
    for (int level = 0; level <= 255; ++level) {
        if (std::fabs(level - q0) <= 255 * epsilon + slack &&
            std::fabs(level - wanted) < best_distance) {
            best = level;
            best_distance = std::fabs(level - wanted);
        }
    }
    return best >= 0 ? best : static_cast<int>(std::nearbyint(q0));
}

inline std::vector<double> softmax(const std::vector<double>& z) {
    const double largest = *std::max_element(z.begin(), z.end());
    std::vector<double> p;
    double total = 0;
    for (const double v : z) {
        p.push_back(std::exp(v - largest));
        total += p.back();
    }
    for (double& v : p) {
        v /= total;
    }
    return p;
}

inline double margin(const std::vector<double>& z, int label, int* rival) {
    *rival = -1;
    for (int c = 0; c < static_cast<int>(z.size()); ++c) {
        if (c != label &&
            (*rival < 0 || z[static_cast<std::size_t>(c)] > z[static_cast<std::size_t>(*rival)])) {
            *rival = c;
        }
    }
    return z[static_cast<std::size_t>(*rival)] - z[static_cast<std::size_t>(label)];
}

inline double probability_distance(const std::vector<double>& z, int label, int power) {
    const std::vector<double> p = softmax(z);
    double total = 0;
    for (int c = 0; c < static_cast<int>(z.size()); ++c) {
        const double d = std::fabs(p[static_cast<std::size_t>(c)] - (c == label ? 1 : 0));
        total += power == 1 ? d : d * d;
    }
    return total;
}

inline std::vector<double> directions(std::int64_t count, DirectionKind kind,
                                      const Stream& random) {
    if (kind == DirectionKind::normal) {
        return normal(count, 0, 1, random);
    }
    std::vector<double> u;
    for (std::int64_t e = 0; e < count; ++e) {
        u.push_back(uniform_from_word(random.word(static_cast<std::uint64_t>(e))) >= 0.5f ? 1 : -1);
    }
    return u;
}

} // namespace patchforge::oracle
