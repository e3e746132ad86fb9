// How a learning rate changes over the steps of a run. Both backends compute this text.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace patchforge {

// With s steps done and p = (s - start) / (end - start), the rate is multiplied by
//     linear   1 - p
//     cosine   (1 + cos(pi p)) / 2        (Loshchilov & Hutter, "SGDR", ICLR 2017, without restarts)
//     step     factor ^ floor(p)
// 1 up to s = start; linear and cosine stay at 0 from s = end on. start < end unless constant.
struct RateSchedule {
    enum class Shape : std::uint32_t { constant, linear, cosine, step };
    Shape shape = Shape::constant;
    float factor = 0.1f;
    std::uint64_t start = 0;
    std::uint64_t end = 0;

    PATCHFORGE_HOST_DEVICE double share(std::uint64_t steps_done) const {
        if (shape == Shape::constant || steps_done <= start) {
            return 1;
        }
        const auto length = static_cast<double>(end - start);
        if (shape == Shape::step) {
            // A quotient of integers below 2^53 is not rounded up to the next integer.
            double result = 1, power = static_cast<double>(factor);
            for (auto n =
                     static_cast<std::uint64_t>(static_cast<double>(steps_done - start) / length);
                 n != 0; n >>= 1) {
                result *= (n & 1) ? power : 1;
                power *= power;
            }
            return result;
        }
        if (steps_done >= end) {
            return 0;
        }
        const double left = static_cast<double>(end - steps_done) / length;
        if (shape == Shape::linear) {
            return left;
        }
        // cos(x)^2 with x = pi / 2 (1 - left), by its series: x^18 / 18! is below 1e-12. No cos(), whose
        // reduction of large arguments would take local memory in every kernel that holds an update.
        const double x = 1.57079632679489662 * (1 - left), y = x * x;
        const double cosine =
            1 + y * (-1. / 2 +
                     y * (1. / 24 +
                          y * (-1. / 720 +
                               y * (1. / 40320 + y * (-1. / 3628800 +
                                                      y * (1. / 479001600 +
                                                           y * (-1. / 87178291200. +
                                                                y * (1. / 20922789888000.))))))));
        return cosine * cosine;
    }
};

} // namespace patchforge
