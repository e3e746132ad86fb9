// Golden values: what PyTorch gives in float64 for tensors of sines and cosines, row-major over the
// whole tensor. Oracles are held to 1e-9, float32 to 2e-6 an element.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace patchforge::testing {

// function(frequency i + phase) for i = 0 ... count - 1.
inline std::vector<double> wave(double (*function)(double), double frequency, double phase,
                                std::int64_t count) {
    std::vector<double> values;
    for (std::int64_t i = 0; i < count; ++i) {
        values.push_back(function(frequency * static_cast<double>(i) + phase));
    }
    return values;
}
// The usual x, and two gradients that come from above.
inline std::vector<double> golden_input(std::int64_t count) {
    return wave(std::sin, 0.7, 0.3, count);
}
inline std::vector<double> golden_sines(std::int64_t count) {
    return wave(std::sin, 0.3, 1, count);
}
inline std::vector<double> golden_cosines(std::int64_t count) {
    return wave(std::cos, 0.3, 1, count);
}

struct Golden {
    static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

    double sum = unknown;
    double squares = unknown;
    std::vector<double> first;
    double last = unknown;
};

// `values` may be float or double, and are held to what their type can keep.
template <class T>
void expect_golden(const std::vector<T>& values, const Golden& golden, const std::string& what) {
    const bool exact = std::is_same_v<T, double>;
    double sum = 0, squares = 0;
    for (const double value : values) {
        sum += value;
        squares += value * value;
    }
    const auto near = [&](double value, double wanted, double tolerance, const std::string& which) {
        EXPECT_TRUE(std::isnan(wanted) || std::fabs(value - wanted) <= tolerance)
            << what << ", " << which << ": " << value << ", expected " << wanted;
    };
    const double element = exact ? 1e-9 : 2e-6;
    near(sum, golden.sum, element * (exact ? 1 : static_cast<double>(values.size())), "sum");
    near(squares, golden.squares, exact ? 1e-9 : 9e-5, "sum of squares");
    ASSERT_GE(values.size(), golden.first.size());
    for (std::size_t e = 0; e < golden.first.size(); ++e) {
        near(values[e], golden.first[e], element, "element " + std::to_string(e));
    }
    near(values.back(), golden.last, element, "last element");
}

} // namespace patchforge::testing
