// Tests of distributions, with bounds that a right generator misses once in about 30,000 seeds. The
// seeds are fixed, so a test that passes keeps passing.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

namespace patchforge::testing {

// Kolmogorov-Smirnov: sqrt(n) times the largest distance between the distribution of `values` and
// `cdf`. Beyond 2.27 with probability 2 exp(-2 * 2.27^2) = 7e-5.
inline double kolmogorov_distance(std::vector<float> values,
                                  const std::function<double(double)>& cdf) {
    std::sort(values.begin(), values.end());
    const double n = static_cast<double>(values.size());
    double distance = 0;
    for (std::size_t k = 0; k < values.size(); ++k) {
        const double p = cdf(values[k]);
        distance = std::max({distance, p - k / n, (k + 1) / n - p});
    }
    return std::sqrt(n) * distance;
}
constexpr double kolmogorov_limit = 2.27;

inline double normal_cdf(double x) {
    return std::erfc(-x / std::sqrt(2.0)) / 2;
}

// Pearson's chi-square against equal counts, as a number of standard deviations of a normal
// variable (Wilson & Hilferty, 1931).
inline double chi_square_deviations(const std::vector<std::int64_t>& counts) {
    double total = 0, sum = 0;
    for (const std::int64_t count : counts) {
        total += static_cast<double>(count);
    }
    const double expected = total / static_cast<double>(counts.size());
    for (const std::int64_t count : counts) {
        sum += (count - expected) * (count - expected) / expected;
    }
    const double freedom = static_cast<double>(counts.size()) - 1;
    const double spread = 2 / (9 * freedom);
    return (std::cbrt(sum / freedom) - (1 - spread)) / std::sqrt(spread);
}
constexpr double deviations_limit = 4;

} // namespace patchforge::testing
