// Claimed gradients against central differences of a float64 oracle.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace patchforge::testing {

// sum of dy * y: the loss whose gradient by y is dy.
template <class T>
double dot(const std::vector<T>& dy, const std::vector<double>& y) {
    double sum = 0;
    for (std::size_t e = 0; e < y.size(); ++e) {
        sum += dy.at(e) * y[e];
    }
    return sum;
}

// The slope of loss(), a function of `numbers`, along some of them (at most `most`, evenly spread:
// the loss is worked out anew for every difference), against `claimed`. factor(e): what a claim is
// times the slope, of an epilogue before.
inline void expect_slopes(
    std::vector<double>& numbers, const std::vector<float>& claimed,
    const std::function<double()>& loss, double tolerance, const std::string& what,
    const std::function<double(std::size_t)>& factor = [](std::size_t) { return 1.0; },
    std::size_t most = 200) {
    ASSERT_EQ(numbers.size(), claimed.size());
    for (std::size_t e = 0; e < numbers.size(); e += 1 + numbers.size() / most) {
        const double before = numbers[e], h = 1e-5;
        numbers[e] = before + h;
        const double above = loss();
        numbers[e] = before - h;
        const double below = loss();
        numbers[e] = before;
        const double measured = (above - below) / (2 * h) * factor(e);
        const double error = std::fabs(measured - double{claimed[e]});
        EXPECT_FALSE(!(error <= tolerance * (1 + std::fabs(measured))))
            << what << " " << e << ": difference " << measured << ", claimed " << claimed[e];
    }
}

} // namespace patchforge::testing
