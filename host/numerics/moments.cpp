#include "host/numerics/moments.h"

#include "host/numerics/linear_algebra.h"
#include "host/numerics/parallel.h"

#include <algorithm>
#include <cmath>

namespace patchforge {
namespace {

constexpr std::int64_t tile = 64;          // columns of the covariance a piece of work computes
constexpr std::int64_t rows_a_step = 1024; // rows widened to float64 at a time

// out[rows, columns] = the features' block in float64, less the mean.
void centre_block(double* out, const Features& features, const std::vector<double>& mean,
                  std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns) {
    for (std::int64_t i = 0; i < rows; ++i) {
        const float* const source = features.values.data() + (row + i) * features.dimension;
        for (std::int64_t j = 0; j < columns; ++j) {
            out[i * columns + j] = source[column + j] - mean[column + j];
        }
    }
}

} // namespace

std::vector<double> column_means(const Features& features) {
    std::vector<double> mean(features.dimension);
    for (std::int64_t i = 0; i < features.count; ++i) {
        const auto row = features.row(i);
        for (std::int64_t j = 0; j < features.dimension; ++j) {
            mean[j] += row[j];
        }
    }
    for (double& value : mean) {
        value /= static_cast<double>(features.count);
    }
    return mean;
}

Moments mean_and_covariance(const Features& features, int threads) {
    check_features(features, "features", 2);
    const std::int64_t n = features.count, d = features.dimension;
    Moments moments{n, d, column_means(features), std::vector<double>(d * d)};
    const std::int64_t tiles = (d + tile - 1) / tile;
    for_each_parallel(tiles * tiles, threads, [&](std::int64_t piece) {
        const std::int64_t a = piece / tiles * tile, b = piece % tiles * tile;
        if (a > b) {
            return; // its mirror image is computed
        }
        const std::int64_t a_columns = std::min(tile, d - a), b_columns = std::min(tile, d - b);
        std::vector<double> left(rows_a_step * a_columns), right(rows_a_step * b_columns);
        std::vector<double> sum(a_columns * b_columns);
        for (std::int64_t row = 0; row < n; row += rows_a_step) {
            const std::int64_t rows = std::min(rows_a_step, n - row);
            centre_block(left.data(), features, moments.mean, row, rows, a, a_columns);
            centre_block(right.data(), features, moments.mean, row, rows, b, b_columns);
            accumulate_transposed_product(sum.data(), left.data(), right.data(), a_columns,
                                          b_columns, rows);
        }
        // Inside a tile on the diagonal the upper half is copied to the lower: exactly symmetric.
        for (std::int64_t i = 0; i < a_columns; ++i) {
            for (std::int64_t j = a == b ? i : 0; j < b_columns; ++j) {
                const double value = sum[i * b_columns + j] / static_cast<double>(n - 1);
                moments.covariance[(a + i) * d + b + j] = value;
                moments.covariance[(b + j) * d + a + i] = value;
            }
        }
    });
    return moments;
}

void map_moments(std::span<const float> values, std::int64_t maps, float* to) {
    const std::size_t size = values.size() / static_cast<std::size_t>(maps);
    for (std::int64_t m = 0; m < maps; ++m) {
        const auto map = values.subspan(static_cast<std::size_t>(m) * size, size);
        double mean = 0, squares = 0;
        for (const float value : map) {
            mean += value;
        }
        mean /= static_cast<double>(size);
        for (const float value : map) {
            squares += (value - mean) * (value - mean);
        }
        to[m] = static_cast<float>(mean);
        to[maps + m] = static_cast<float>(std::sqrt(squares / static_cast<double>(size)));
    }
}

} // namespace patchforge
