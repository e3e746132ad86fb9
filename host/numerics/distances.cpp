#include "host/numerics/distances.h"

#include "host/numerics/linear_algebra.h"
#include "host/numerics/parallel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace patchforge {
namespace {

// 128 x 512 distances (512 KiB) and their float64 operands at 256 features (1.25 MiB) stay in a
// level-2 cache; widening the operands again for each tile costs 1/100 of the product.
constexpr std::int64_t tile_rows = 128;
constexpr std::int64_t tile_columns = 512;

std::vector<double> squared_norms(const Features& features) {
    std::vector<double> norms(features.count);
    for (std::int64_t i = 0; i < features.count; ++i) {
        for (const double value : features.row(i)) {
            norms[i] += value * value;
        }
    }
    return norms;
}

double squared_difference(std::span<const float> a, std::span<const float> b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double difference = static_cast<double>(a[i]) - b[i];
        sum += difference * difference;
    }
    return sum;
}

} // namespace

void for_each_distance_tile(const Features& a, const Features& b, int threads,
                            const std::function<void(const DistanceTile&)>& work) {
    const std::int64_t d = a.dimension;
    const std::vector<double> a_norms = squared_norms(a), b_norms = squared_norms(b);
    const std::int64_t row_blocks = (a.count + tile_rows - 1) / tile_rows;
    for_each_parallel(row_blocks, threads, [&](std::int64_t block) {
        const std::int64_t row = block * tile_rows;
        const std::int64_t rows = std::min(tile_rows, a.count - row);
        const std::vector<double> left(a.values.begin() + row * d,
                                       a.values.begin() + (row + rows) * d);
        std::vector<double> right(std::min(tile_columns, b.count) * d);
        std::vector<double> tile(rows * tile_columns);
        for (std::int64_t column = 0; column < b.count; column += tile_columns) {
            const std::int64_t columns = std::min(tile_columns, b.count - column);
            std::copy_n(b.values.begin() + column * d, columns * d, right.begin());
            multiply_transposed(tile.data(), left.data(), right.data(), rows, columns, d);
            for (std::int64_t i = 0; i < rows; ++i) {
                for (std::int64_t j = 0; j < columns; ++j) {
                    const double norms = a_norms[row + i] + b_norms[column + j];
                    double& entry = tile[i * columns + j];
                    entry = norms - 2 * entry;
                    if (entry < 1e-8 * norms) {
                        entry = squared_difference(a.row(row + i), b.row(column + j));
                    }
                }
            }
            work({row, rows, column, columns, tile.data()});
        }
    });
}

std::vector<double> squared_radii(const Features& features, std::int64_t k, int threads) {
    if (k < 1 || k >= features.count) {
        throw std::invalid_argument(fmt::format(
            "k: the {}-th neighbour among {} rows; use 1 <= k < rows", k, features.count));
    }
    // The k nearest of each row so far, ascending.
    std::vector<double> nearest(features.count * k, std::numeric_limits<double>::infinity());
    for_each_distance_tile(features, features, threads, [&](const DistanceTile& tile) {
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            double* const best = nearest.data() + (tile.row + i) * k;
            for (std::int64_t j = 0; j < tile.columns; ++j) {
                const double squared = tile.squared[i * tile.columns + j];
                if (squared < best[k - 1] && tile.row + i != tile.column + j) {
                    double* const place = std::upper_bound(best, best + k, squared);
                    std::copy_backward(place, best + k - 1, best + k);
                    *place = squared;
                }
            }
        }
    });
    std::vector<double> radii(features.count);
    for (std::int64_t i = 0; i < features.count; ++i) {
        radii[i] = nearest[i * k + k - 1];
    }
    return radii;
}

std::vector<Neighbour> nearest_neighbours(const Features& queries, const Features& among,
                                          int threads, std::int64_t own) {
    std::vector<Neighbour> result(queries.count, {-1, std::numeric_limits<double>::infinity()});
    for_each_distance_tile(queries, among, threads, [&](const DistanceTile& tile) {
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            Neighbour& best = result[tile.row + i];
            for (std::int64_t j = 0; j < tile.columns; ++j) {
                const double squared = tile.squared[i * tile.columns + j];
                const bool itself = own >= 0 && own + tile.row + i == tile.column + j;
                if (squared < best.distance && !itself) {
                    best = {tile.column + j, squared};
                }
            }
        }
    });
    for (Neighbour& neighbour : result) {
        neighbour.distance = std::sqrt(neighbour.distance);
    }
    return result;
}

} // namespace patchforge
