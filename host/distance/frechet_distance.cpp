#include "host/distance/frechet_distance.h"

#include "host/numerics/linear_algebra.h"
#include "host/numerics/parallel.h"
#include "host/numerics/philox_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace patchforge {
namespace {

double sum_of_squares(const std::vector<double>& values) {
    return std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
}

// Least squares of distance = at_infinity + slope / n.
void fit_line(FrechetExtrapolation& result) {
    const double points = static_cast<double>(result.counts.size());
    double mean_x = 0, mean_y = 0;
    for (std::size_t i = 0; i < result.counts.size(); ++i) {
        mean_x += 1.0 / static_cast<double>(result.counts[i]) / points;
        mean_y += result.distances[i] / points;
    }
    double xx = 0, xy = 0, yy = 0;
    for (std::size_t i = 0; i < result.counts.size(); ++i) {
        const double x = 1.0 / static_cast<double>(result.counts[i]) - mean_x;
        const double y = result.distances[i] - mean_y;
        xx += x * x;
        xy += x * y;
        yy += y * y;
    }
    result.slope = xy / xx;
    result.at_infinity = mean_y - result.slope * mean_x;
    result.r_squared = yy > 0 ? xy * xy / (xx * yy) : 1;
}

} // namespace

GaussianFit fit_gaussian(const Features& features, int threads) {
    check_features(features, "features", 2);
    const std::int64_t n = features.count, d = features.dimension;
    if (n > d) {
        return fit_gaussian(mean_and_covariance(features, threads));
    }
    GaussianFit fit{n, d, n, column_means(features), std::vector<double>(n * d)};
    const double scale = 1 / std::sqrt(static_cast<double>(n - 1));
    for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t j = 0; j < d; ++j) {
            fit.factor[i * d + j] = (features.values[i * d + j] - fit.mean[j]) * scale;
        }
    }
    return fit;
}

GaussianFit fit_gaussian(const Moments& moments) {
    const std::int64_t d = moments.dimension;
    SymmetricEigen eigen = symmetric_eigen(moments.covariance, d);
    const double rounding = static_cast<double>(d) * std::numeric_limits<double>::epsilon() *
                            std::max(0.0, eigen.values.back());
    const auto first_kept =
        std::upper_bound(eigen.values.begin(), eigen.values.end(), rounding) - eigen.values.begin();
    GaussianFit fit{moments.count, d, d - first_kept, moments.mean, {}};
    fit.factor.assign(eigen.vectors.begin() + first_kept * d, eigen.vectors.end());
    for (std::int64_t i = 0; i < fit.rows; ++i) {
        const double root = std::sqrt(eigen.values[first_kept + i]);
        std::for_each_n(fit.factor.begin() + i * d, d, [root](double& x) { x *= root; });
    }
    return fit;
}

double frechet_distance(const GaussianFit& first, const GaussianFit& second) {
    if (first.dimension != second.dimension) {
        throw std::invalid_argument(
            fmt::format("features: {} a row in one set and {} in the other; use one extractor for "
                        "both",
                        first.dimension, second.dimension));
    }
    double means_apart = 0;
    for (std::int64_t j = 0; j < first.dimension; ++j) {
        means_apart += (first.mean[j] - second.mean[j]) * (first.mean[j] - second.mean[j]);
    }
    double root_trace = 0;
    if (first.rows > 0 && second.rows > 0) {
        std::vector<double> product(first.rows * second.rows);
        multiply_transposed(product.data(), first.factor.data(), second.factor.data(), first.rows,
                            second.rows, first.dimension);
        root_trace = nuclear_norm(std::move(product), first.rows, second.rows);
    }
    const double traces = sum_of_squares(first.factor) + sum_of_squares(second.factor);
    return means_apart + std::max(0.0, traces - 2 * root_trace);
}

double frechet_distance(const Features& first, const Features& second, int threads) {
    check_pair(first, second, 2);
    return frechet_distance(fit_gaussian(first, threads), fit_gaussian(second, threads));
}

FrechetExtrapolation extrapolate_frechet_distance(const Features& reference,
                                                  const Features& generated, std::uint64_t seed,
                                                  std::int64_t smallest, int sizes, int threads) {
    check_pair(reference, generated, 4);
    const std::int64_t n = generated.count;
    if (smallest == 0) {
        smallest = std::min<std::int64_t>(5000, n / 2);
    }
    if (sizes < 2 || smallest < 2 || smallest >= n) {
        throw std::invalid_argument(
            fmt::format("extrapolation: {} sizes from {} to {}; give at least two sizes and more "
                        "generated images than the smallest",
                        sizes, smallest, n));
    }
    const GaussianFit reference_fit = fit_gaussian(reference, threads);
    FrechetExtrapolation result;
    for (int i = 0; i < sizes; ++i) {
        result.counts.push_back(smallest + (n - smallest) * i / (sizes - 1));
    }
    result.distances.resize(sizes);
    for_each_parallel(sizes, threads, [&](std::int64_t i) {
        const auto rows = PhiloxSequence(seed, i).sample(n, result.counts[i]);
        result.distances[i] =
            frechet_distance(reference_fit, fit_gaussian(take_rows(generated, rows), 1));
    });
    fit_line(result);
    return result;
}

} // namespace patchforge
