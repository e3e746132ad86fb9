#include "host/numerics/pca.h"

#include "host/numerics/linear_algebra.h"
#include "host/numerics/moments.h"
#include "host/numerics/parallel.h"
#include "host/numerics/philox_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace patchforge {
namespace {

constexpr std::int64_t largest_exact = 512;
constexpr std::int64_t extra_directions = 16;
constexpr int rounds = 8;
constexpr std::int64_t rows_a_block = 256;

// Rows of the features in float64, less the mean.
std::vector<double> centred(const Features& features, const std::vector<double>& mean,
                            std::int64_t row, std::int64_t rows) {
    const std::int64_t d = features.dimension;
    std::vector<double> block(rows * d);
    for (std::int64_t i = 0; i < rows; ++i) {
        const auto source = features.row(row + i);
        for (std::int64_t j = 0; j < d; ++j) {
            block[i * d + j] = source[j] - mean[j];
        }
    }
    return block;
}

// work(row, rows, centred rows) for each block of rows; blocks run in parallel.
void for_each_block(
    const Features& features, const std::vector<double>& mean, int threads,
    const std::function<void(std::int64_t, std::int64_t, const std::vector<double>&)>& work) {
    const std::int64_t blocks = (features.count + rows_a_block - 1) / rows_a_block;
    for_each_parallel(blocks, threads, [&](std::int64_t block) {
        const std::int64_t row = block * rows_a_block;
        const std::int64_t rows = std::min(rows_a_block, features.count - row);
        work(row, rows, centred(features, mean, row, rows));
    });
}

// scores[count, k] = centred features[count, d] directions[k, d]^T
std::vector<double> scores_along(const Features& features, const std::vector<double>& mean,
                                 const std::vector<double>& directions, std::int64_t k,
                                 int threads) {
    std::vector<double> scores(features.count * k);
    for_each_block(features, mean, threads,
                   [&](std::int64_t row, std::int64_t rows, const std::vector<double>& block) {
                       multiply_transposed(scores.data() + row * k, block.data(), directions.data(),
                                           rows, k, features.dimension);
                   });
    return scores;
}

// sum[k, d] = scores[count, k]^T centred features[count, d]. Pieces are strips of columns, each
// summed over the rows in order, so the sum does not depend on the number of threads.
std::vector<double> combine_rows(const Features& features, const std::vector<double>& mean,
                                 const std::vector<double>& scores, std::int64_t k, int threads) {
    constexpr std::int64_t strip = 512;
    const std::int64_t n = features.count, d = features.dimension;
    std::vector<double> sum(k * d);
    for_each_parallel((d + strip - 1) / strip, threads, [&](std::int64_t piece) {
        const std::int64_t column = piece * strip, columns = std::min(strip, d - column);
        std::vector<double> part(k * columns), block(rows_a_block * columns);
        for (std::int64_t row = 0; row < n; row += rows_a_block) {
            const std::int64_t rows = std::min(rows_a_block, n - row);
            for (std::int64_t i = 0; i < rows; ++i) {
                const float* const source = features.values.data() + (row + i) * d + column;
                for (std::int64_t j = 0; j < columns; ++j) {
                    block[i * columns + j] = source[j] - mean[column + j];
                }
            }
            accumulate_transposed_product(part.data(), scores.data() + row * k, block.data(), k,
                                          columns, rows);
        }
        for (std::int64_t i = 0; i < k; ++i) {
            std::copy_n(part.begin() + i * columns, columns, sum.begin() + i * d + column);
        }
    });
    return sum;
}

// Eigenvectors of directions' own k x k covariance, largest first, as rows over the features.
void rotate_to_components(PrincipalComponents& pca, const std::vector<double>& directions,
                          std::int64_t k, const std::vector<double>& scores, std::int64_t n) {
    std::vector<double> covariance(k * k);
    accumulate_transposed_product(covariance.data(), scores.data(), scores.data(), k, k, n);
    for (double& value : covariance) {
        value /= static_cast<double>(n - 1);
    }
    const SymmetricEigen eigen = symmetric_eigen(std::move(covariance), k);
    std::vector<double> rotation(pca.components * k);
    for (std::int64_t i = 0; i < pca.components; ++i) {
        pca.variances.push_back(std::max(0.0, eigen.values[k - 1 - i]));
        std::copy_n(eigen.vectors.begin() + (k - 1 - i) * k, k, rotation.begin() + i * k);
    }
    pca.basis.resize(pca.components * pca.dimension);
    multiply(pca.basis.data(), rotation.data(), directions.data(), pca.components, pca.dimension,
             k);
}

// Directions that span the leading components: rounds of X^T X with a basis made orthonormal.
std::vector<double> leading_subspace(const Features& features, const std::vector<double>& mean,
                                     std::int64_t k, std::uint64_t seed, int threads) {
    std::vector<double> directions(k * features.dimension);
    PhiloxSequence random(seed);
    std::generate(directions.begin(), directions.end(), [&] { return random.normal(); });
    orthonormalise_rows(directions, k, features.dimension);
    for (int round = 0; round < rounds; ++round) {
        const auto scores = scores_along(features, mean, directions, k, threads);
        directions = combine_rows(features, mean, scores, k, threads);
        orthonormalise_rows(directions, k, features.dimension);
    }
    return directions;
}

void sign_by_largest(std::vector<double>& basis, std::int64_t dimension) {
    for (auto row = basis.begin(); row != basis.end(); row += dimension) {
        const auto largest = std::max_element(
            row, row + dimension, [](double a, double b) { return std::abs(a) < std::abs(b); });
        const double sign = *largest < 0 ? -1 : 1;
        std::for_each_n(row, dimension, [sign](double& value) { value *= sign; });
    }
}

double total_variance(const Features& features, const std::vector<double>& mean) {
    double sum = 0;
    for (std::int64_t i = 0; i < features.count; ++i) {
        const auto row = features.row(i);
        for (std::int64_t j = 0; j < features.dimension; ++j) {
            sum += (row[j] - mean[j]) * (row[j] - mean[j]);
        }
    }
    return sum / static_cast<double>(features.count - 1);
}

} // namespace

PrincipalComponents fit_principal_components(const Features& features, std::int64_t components,
                                             std::uint64_t seed, int threads) {
    check_features(features, "features", 2);
    const std::int64_t n = features.count, d = features.dimension, rank = std::min(n - 1, d);
    if (components < 1 || components > rank) {
        throw std::invalid_argument(
            fmt::format("components: {} of {} rows of {}; use 1 to {}", components, n, d, rank));
    }
    PrincipalComponents pca{d, components, column_means(features), {}, {}, 0};
    pca.total_variance = total_variance(features, pca.mean);
    std::vector<double> directions;
    std::int64_t k = 0;
    if (d <= largest_exact) { // every direction: the rotation is the whole eigen-decomposition
        k = d;
        directions.resize(d * d);
        for (std::int64_t i = 0; i < d; ++i) {
            directions[i * d + i] = 1;
        }
    } else if (n <= largest_exact) { // the rows themselves span all there is
        k = n - 1;
        directions = centred(features, pca.mean, 0, k);
        orthonormalise_rows(directions, k, d);
    } else {
        k = std::min(components + extra_directions, rank);
        directions = leading_subspace(features, pca.mean, k, seed, threads);
    }
    rotate_to_components(pca, directions, k,
                         scores_along(features, pca.mean, directions, k, threads), n);
    sign_by_largest(pca.basis, d);
    return pca;
}

Features project(const PrincipalComponents& pca, const Features& features, int threads) {
    check_features(features, "features");
    if (features.dimension != pca.dimension) {
        throw std::invalid_argument(
            fmt::format("features: {} a row, but the components were fitted to {}; use the same "
                        "images",
                        features.dimension, pca.dimension));
    }
    const auto scores = scores_along(features, pca.mean, pca.basis, pca.components, threads);
    return {features.count, pca.components, {scores.begin(), scores.end()}};
}

} // namespace patchforge
