// kernels/operations/optimiser.h in float64, with a running bound of what float32 may lose.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/operations/optimiser.h"

namespace patchforge::oracle {

// One number and how far a float32 computation of it may be off.
struct Bounded {
    double value = 0;
    double error = 0;
};

struct AdamElement {
    Bounded weight;
    Bounded first_moment;
    Bounded second_moment;
};

// Rate of the step that finds `step` iterations behind it.
inline double adam_rate(const Adam& adam, std::uint64_t step) {
    const RateSchedule& schedule = adam.schedule;
    const double part = step <= schedule.start
                            ? 0
                            : static_cast<double>(step - schedule.start) /
                                  static_cast<double>(schedule.end - schedule.start);
    const double rate = adam.learning_rate;
    switch (schedule.shape) {
    case RateSchedule::Shape::constant:
        break;
    case RateSchedule::Shape::linear:
        return rate * std::max(1 - part, 0.0);
    case RateSchedule::Shape::cosine:
        return rate * (1 + std::cos(std::min(part, 1.0) * std::acos(-1.0))) / 2;
    case RateSchedule::Shape::step:
        return rate * std::pow(static_cast<double>(schedule.factor), std::floor(part));
    }
    return rate;
}

// One step of one element. The errors follow the formula to first order: each product and sum of
// float32 numbers loses up to 2^-24 of itself, and what g, m and v already lost is passed on.
inline AdamElement adam(AdamElement before, Bounded gradient, const Adam& options,
                        std::uint64_t step) {
    const double unit = std::ldexp(1.0, -24);
    const double smallest = std::ldexp(1.0, -126); // below, a device may flush to zero
    const double b1 = options.beta1, b2 = options.beta2;
    const double g = gradient.value, t = static_cast<double>(step) + 1;
    AdamElement after;

    Bounded& m = after.first_moment;
    m.value = b1 * before.first_moment.value + (1 - b1) * g;
    m.error = b1 * before.first_moment.error + (1 - b1) * gradient.error + smallest +
              3 * unit * (std::fabs(b1 * before.first_moment.value) + std::fabs((1 - b1) * g));

    Bounded& v = after.second_moment;
    v.value = b2 * before.second_moment.value + (1 - b2) * g * g;
    v.error = b2 * before.second_moment.error + 4 * unit * v.value + smallest +
              (1 - b2) * gradient.error * (2 * std::fabs(g) + gradient.error);

    const double rate = adam_rate(options, step) / (1 - std::pow(b1, t));
    const double correction = std::sqrt(1 - std::pow(b2, t));
    const double denominator = std::sqrt(v.value) / correction + options.epsilon;
    const double lowest =
        std::sqrt(std::max(0.0, v.value - v.error)) / correction + options.epsilon;
    const double update = rate * m.value / denominator;

    Bounded& w = after.weight;
    w.value = before.weight.value - update;
    w.error = before.weight.error + unit * std::fabs(w.value) + 8 * unit * std::fabs(update) +
              rate * m.error / lowest + rate * std::fabs(m.value) * (1 / lowest - 1 / denominator);
    if (options.clip > 0) {
        w.value = std::clamp<double>(w.value, -options.clip, options.clip);
    }
    return after;
}

} // namespace patchforge::oracle
