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

struct KernelSums {
    double all = 0;
    double diagonal = 0;
};

// Sums of the kernel over all pairs of rows of x[m, d] and y[n, d].
KernelSums kernel_sums(const std::vector<double>& x, std::int64_t m, const std::vector<double>& y,
                       std::int64_t n, std::int64_t d) {
    std::vector<double> products(m * n);
    multiply_transposed(products.data(), x.data(), y.data(), m, n, d);
    KernelSums sums;
    for (std::int64_t i = 0; i < m; ++i) {
        double row = 0;
        for (std::int64_t j = 0; j < n; ++j) {
            const double base = products[i * n + j] / static_cast<double>(d) + 1;
            const double kernel = base * base * base;
            row += kernel;
            sums.diagonal += i == j ? kernel : 0;
        }
        sums.all += row;
    }
    return sums;
}

} // namespace

KernelDiscrepancy kernel_discrepancy(const Features& first, const Features& second) {
    check_pair(first, second, 2);
    const std::int64_t d = first.dimension;
    const std::vector<double> x(first.values.begin(), first.values.end());
    const std::vector<double> y(second.values.begin(), second.values.end());
    const KernelSums xx = kernel_sums(x, first.count, x, first.count, d);
    const KernelSums yy = kernel_sums(y, second.count, y, second.count, d);
    const KernelSums xy = kernel_sums(x, first.count, y, second.count, d);
    const double m = static_cast<double>(first.count), n = static_cast<double>(second.count);
    const double cross = 2 * xy.all / (m * n);
    return {(xx.all - xx.diagonal) / (m * (m - 1)) + (yy.all - yy.diagonal) / (n * (n - 1)) - cross,
            xx.all / (m * m) + yy.all / (n * n) - cross};
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
        estimates[subset] = kernel_discrepancy(take_rows(reference, from_reference),
                                               take_rows(generated, from_generated))
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
