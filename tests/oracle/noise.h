// kernels/operations/noise.h in float64.
#pragma once

#include <cmath>
#include <numbers>
#include <vector>

#include "tests/oracle/philox.h"

namespace patchforge::oracle {

inline std::vector<double> uniform(std::int64_t count, double low, double high,
                                   const Stream& random) {
    std::vector<double> out;
    for (std::int64_t e = 0; e < count; ++e) {
        out.push_back(low + (high - low) * uniform_from_word(random.word(e)));
    }
    return out;
}

// Box-Muller on the float32 uniform numbers, whose rounding is part of the definition.
inline std::vector<double> normal(std::int64_t count, double mean, double deviation,
                                  const Stream& random) {
    std::vector<double> out;
    for (std::int64_t e = 0; e < count; ++e) {
        const double u1 = uniform_from_word(random.word(e & ~std::int64_t{1}));
        const double u2 = uniform_from_word(random.word(e | 1));
        const double radius = std::sqrt(-2 * std::log(u1));
        const double angle = 2 * std::numbers::pi * u2;
        out.push_back(mean + deviation * radius * (e % 2 ? std::cos(angle) : std::sin(angle)));
    }
    return out;
}

} // namespace patchforge::oracle
