#include "host/numerics/k_means.h"

#include "host/numerics/distances.h"
#include "host/numerics/philox_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace patchforge {
namespace {

// Each next centre is a row drawn with weight = squared distance to the centres so far.
Features spread_rows(const Features& features, std::int64_t k, std::uint64_t seed, int threads) {
    PhiloxSequence random(seed);
    std::vector<std::int64_t> rows{static_cast<std::int64_t>(random.below(features.count))};
    std::vector<double> weights(features.count);
    for (Features latest = take_rows(features, rows); static_cast<std::int64_t>(rows.size()) < k;
         latest = take_rows(features, std::span(rows).last(1))) {
        const auto to_latest = nearest_neighbours(features, latest, threads);
        for (std::int64_t i = 0; i < features.count; ++i) {
            const double squared = to_latest[i].distance * to_latest[i].distance;
            weights[i] = rows.size() == 1 ? squared : std::min(weights[i], squared);
        }
        double left = random.uniform() * std::accumulate(weights.begin(), weights.end(), 0.0);
        std::int64_t row = 0;
        while (row + 1 < features.count && (left -= weights[row]) > 0) {
            ++row;
        }
        rows.push_back(row);
    }
    return take_rows(features, rows);
}

} // namespace

Features k_means(const Features& features, std::int64_t k, std::uint64_t seed, int iterations,
                 int threads) {
    check_features(features, "features");
    if (k < 1 || k > features.count) {
        throw std::invalid_argument(
            fmt::format("cells: {} of {} rows; use 1 <= cells <= rows", k, features.count));
    }
    const std::int64_t d = features.dimension;
    Features centres = spread_rows(features, k, seed, threads);
    std::vector<std::int64_t> assigned(features.count, -1);
    for (int iteration = 0; iteration < iterations; ++iteration) {
        const auto nearest = nearest_neighbours(features, centres, threads);
        std::vector<double> sums(k * d);
        std::vector<std::int64_t> counts(k);
        bool changed = false;
        for (std::int64_t i = 0; i < features.count; ++i) {
            const std::int64_t cell = nearest[i].index;
            changed = changed || assigned[i] != cell;
            assigned[i] = cell;
            ++counts[cell];
            for (std::int64_t j = 0; j < d; ++j) {
                sums[cell * d + j] += features.values[i * d + j];
            }
        }
        if (!changed) {
            break;
        }
        for (std::int64_t cell = 0; cell < k; ++cell) {
            for (std::int64_t j = 0; j < d && counts[cell] > 0; ++j) {
                centres.values[cell * d + j] =
                    static_cast<float>(sums[cell * d + j] / static_cast<double>(counts[cell]));
            }
        }
    }
    return centres;
}

} // namespace patchforge
