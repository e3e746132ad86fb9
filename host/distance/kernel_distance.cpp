#include "host/distance/kernel_distance.h"

#include "host/numerics/linear_algebra.h"
#include "host/numerics/parallel.h"
#include "host/numerics/philox_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace patchforge {
namespace {

// Sum of (scale * p + 1)^3 over `count` products, in float64 whatever these are in, in four sums side by side, as one
// alone would wait for itself.
template <class Number>
double sum_of_cubes(const Number* products, std::int64_t count, double scale) {
    double sums[4] = {};
    const auto cube = [&](std::int64_t i) {
        const double base = products[i] * scale + 1;
        return base * base * base;
    };
    std::int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
        sums[0] += cube(i);
        sums[1] += cube(i + 1);
        sums[2] += cube(i + 2);
        sums[3] += cube(i + 3);
    }
    for (; i < count; ++i) {
        sums[0] += cube(i);
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// Sums of the kernel over all pairs of rows of x[n, d], of which the triangle above the diagonal is
// worked out.
struct OwnSums {
    double diagonal = 0;
    double above = 0;

    double all() const { return diagonal + 2 * above; }
};

template <class Number>
OwnSums own_sums(const std::vector<Number>& x, std::int64_t n, std::int64_t d) {
    std::vector<Number> products(n * n);
    multiply_by_own_transpose(products.data(), x.data(), n, d);
    OwnSums sums;
    for (std::int64_t i = 0; i < n; ++i) {
        const Number* const row = products.data() + i * n + i;
        sums.diagonal += sum_of_cubes(row, 1, 1 / static_cast<double>(d));
        sums.above += sum_of_cubes(row + 1, n - i - 1, 1 / static_cast<double>(d));
    }
    return sums;
}

template <class Number>
double cross_sum(const std::vector<Number>& x, std::int64_t m, const std::vector<Number>& y,
                 std::int64_t n, std::int64_t d) {
    std::vector<Number> products(m * n);
    multiply_transposed(products.data(), x.data(), y.data(), m, n, d);
    return sum_of_cubes(products.data(), m * n, 1 / static_cast<double>(d));
}

// Of x[rows, d] and y[other_rows, d].
template <class Number>
KernelDiscrepancy discrepancy(const std::vector<Number>& x, const std::vector<Number>& y,
                              std::int64_t rows, std::int64_t other_rows, std::int64_t d) {
    const OwnSums xx = own_sums(x, rows, d), yy = own_sums(y, other_rows, d);
    const double m = static_cast<double>(rows), n = static_cast<double>(other_rows);
    const double cross = 2 * cross_sum(x, rows, y, other_rows, d) / (m * n);
    return {2 * xx.above / (m * (m - 1)) + 2 * yy.above / (n * (n - 1)) - cross,
            xx.all() / (m * m) + yy.all() / (n * n) - cross};
}

} // namespace

KernelDiscrepancy kernel_discrepancy(const Features& first, const Features& second) {
    check_pair(first, second, 2);
    return discrepancy(std::vector<double>(first.values.begin(), first.values.end()),
                       std::vector<double>(second.values.begin(), second.values.end()), first.count,
                       second.count, first.dimension);
}

KernelDistance kernel_distance(const Features& reference, const Features& generated,
                               const KernelDistanceOptions& options) {
    check_pair(reference, generated, 2);
    if (options.subsets < 1 || options.subset_size < 2) {
        throw std::invalid_argument(
            fmt::format("kernel distance: {} subsets of {} rows; use at least 1 of at least 2",
                        options.subsets, options.subset_size));
    }
    KernelDistance result;
    result.subsets = options.subsets;
    result.subset_size = std::min({options.subset_size, reference.count, generated.count});
    std::vector<double> estimates(result.subsets);
    for_each_parallel(result.subsets, options.threads, [&](std::int64_t subset) {
        PhiloxSequence random(options.seed, subset);
        const auto from_reference = random.sample(reference.count, result.subset_size);
        const auto from_generated = random.sample(generated.count, result.subset_size);
        estimates[subset] = discrepancy(take_rows(reference, from_reference).values,
                                        take_rows(generated, from_generated).values,
                                        result.subset_size, result.subset_size, reference.dimension)
                                .unbiased;
    });
    result.mean = std::accumulate(estimates.begin(), estimates.end(), 0.0) / result.subsets;
    double squares = 0;
    for (const double estimate : estimates) {
        squares += (estimate - result.mean) * (estimate - result.mean);
    }
    result.deviation = std::sqrt(squares / result.subsets);
    return result;
}

} // namespace patchforge
