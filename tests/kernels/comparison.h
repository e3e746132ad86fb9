// Numbers to test with, and the comparison with the oracle.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/precision.h"

namespace patchforge::testing {

constexpr double unit_roundoff = 5.9604644775390625e-08; // 2^-24, of float32

// `count` numbers in [low, high), the same on every machine.
inline std::vector<float> random_values(std::uint64_t seed, std::int64_t count, float low = -1,
                                        float high = 1) {
    std::mt19937_64 engine(seed);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) {
        value = low + (high - low) * static_cast<float>(engine() >> 40) * 0x1p-24f;
    }
    return values;
}

// What a float32 sum of `terms` products with this sum of magnitudes may be off. Roundings add up
// like a random walk, so the root of the number of terms counts, and a quarter of it is what one
// long chain of same-signed terms loses; worst cases would allow `terms` itself, and with it a lost
// tail element.
//
// Tensor cores, which have a hand in all other precisions, cut off where float32 rounds: a loss of
// up to two units instead of one.
inline double sum_bound(std::int64_t terms, double magnitude,
                        Precision precision = Precision::float32) {
    const double units = precision == Precision::float32 ? 1 : 2;
    return units * unit_roundoff * magnitude * (4 + std::sqrt(static_cast<double>(terms)) / 4);
}

// Every |actual - expected| <= tolerance; otherwise one failure that names the worst element.
template <class T>
void expect_close(const std::vector<T>& actual, const std::vector<double>& expected,
                  const std::vector<double>& tolerance, std::int64_t columns,
                  const std::string& what) {
    ASSERT_EQ(actual.size(), expected.size()) << what;
    ASSERT_EQ(actual.size(), tolerance.size()) << what;
    std::size_t wrong = 0, worst = 0;
    double worst_excess = -1;
    for (std::size_t e = 0; e < actual.size(); ++e) {
        const double error = std::fabs(static_cast<double>(actual[e]) - expected[e]);
        if (!(error <= tolerance[e])) {
            ++wrong;
            const double excess =
                std::isnan(error) ? INFINITY : error / std::max(tolerance[e], 1e-300);
            if (excess > worst_excess) {
                worst_excess = excess;
                worst = e;
            }
        }
    }
    if (wrong > 0) {
        const auto e = static_cast<std::int64_t>(worst);
        ADD_FAILURE() << what << ": " << wrong << " of " << actual.size()
                      << " elements are off; the worst is [" << e / columns << ", " << e % columns
                      << "]: got " << static_cast<double>(actual[worst]) << ", expected "
                      << expected[worst] << " +- " << tolerance[worst];
    }
}

template <class T>
void expect_close(const std::vector<T>& actual, const std::vector<double>& expected,
                  double tolerance, const std::string& what) {
    expect_close(actual, expected, std::vector<double>(expected.size(), tolerance),
                 static_cast<std::int64_t>(expected.size()), what);
}

// "batch 3, inputs 33, seed 7" for SCOPED_TRACE.
template <class... Pairs>
std::string describe(const Pairs&... pairs) {
    std::ostringstream text;
    text.precision(9);
    int at = 0;
    ((text << pairs << (at++ % 2 ? ", " : " ")), ...);
    return text.str();
}

} // namespace patchforge::testing
