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

// Sum of (scale * p + 1)^3 over `count` products, in float64, in four sums side by side, as one alone would wait for
// itself.
double sum_of_cubes(const float* products, std::int64_t count, double scale) {
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

// Sum of the kernel over all pairs of two rows of x, each pair once.
double own_sum(const Features& x) {
    const std::int64_t n = x.count;
    std::vector<float> products(n * n);
    multiply_by_own_transpose(products.data(), x.values.data(), n, x.dimension);
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        sum += sum_of_cubes(products.data() + i * n + i + 1, n - i - 1,
                            1 / static_cast<double>(x.dimension));
    }
    return sum;
}

double cross_sum(const Features& x, const Features& y) {
    std::vector<float> products(x.count * y.count);
    multiply_transposed(products.data(), x.values.data(), y.values.data(), x.count, y.count,
                        x.dimension);
    return sum_of_cubes(products.data(), x.count * y.count, 1 / static_cast<double>(x.dimension));
}

// The unbiased estimate: pairs of a row with itself are left out.
double discrepancy(const Features& x, const Features& y) {
    const double xx = own_sum(x), yy = own_sum(y);
    const double m = static_cast<double>(x.count), n = static_cast<double>(y.count);
    const double cross = 2 * cross_sum(x, y) / (m * n);
    return 2 * xx / (m * (m - 1)) + 2 * yy / (n * (n - 1)) - cross;
}

} // namespace

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
        estimates[subset] =
            discrepancy(take_rows(reference, from_reference), take_rows(generated, from_generated));
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
