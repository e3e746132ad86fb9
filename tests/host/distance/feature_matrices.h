// Feature matrices for the tests, and what their distances are compared by. Some matrices need no
// random numbers, so any language can rebuild them.
#pragma once

#include "host/numerics/features.h"
#include "host/numerics/philox_sequence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace patchforge {

inline void expect_near(double value, double expected, double tolerance) {
    EXPECT_TRUE(std::abs(value - expected) <= tolerance)
        << value << " is not " << expected << " within " << tolerance;
}

inline Features filled(std::int64_t count, std::int64_t dimension,
                       const std::function<double(std::int64_t, std::int64_t)>& value) {
    Features features{count, dimension, {}};
    for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t j = 0; j < dimension; ++j) {
            features.values.push_back(static_cast<float>(value(i, j)));
        }
    }
    return features;
}

// A_ij = sin(0.1 i j), i = 1 … 64, j = 1 … 8, and B_ij = cos(0.1 i (j + 1)), i = 1 … 48.
inline Features sine_rows() {
    return filled(64, 8, [](auto i, auto j) { return std::sin(0.1 * (i + 1) * (j + 1)); });
}
inline Features cosine_rows() {
    return filled(48, 8, [](auto i, auto j) { return std::cos(0.1 * (i + 1) * (j + 2)); });
}

// Independent normal numbers, deviation `scale`, mean `shift`.
inline Features normal_rows(std::int64_t count, std::int64_t dimension, std::uint64_t seed,
                            double scale = 1, double shift = 0) {
    PhiloxSequence random(seed);
    return filled(count, dimension, [&](auto, auto) { return shift + scale * random.normal(); });
}

} // namespace patchforge
