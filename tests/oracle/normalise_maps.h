// kernels/operations/normalise_maps.h in float64: sets are gathered into lists, whose means and
// variances are worked out as their definitions say.
#pragma once

#include <cmath>

#include "kernels/map_sets.h"
#include "tests/oracle/matrix.h"

namespace patchforge::oracle {

struct NormalisedMaps {
    DoubleMatrix y;
    std::vector<double> mean, variance; // of the sets, in their order
};

struct RunningStatistics {
    std::vector<double> mean, variance;
};

// scale and shift may be empty.
inline NormalisedMaps normalise_maps(const DoubleMatrix& x, const MapSets& sets,
                                     const std::vector<double>& scale,
                                     const std::vector<double>& shift) {
    const std::int64_t plane = std::int64_t{sets.extent.height} * sets.extent.width;
    const std::int64_t of_set = plane * sets.channels; // columns
    NormalisedMaps result{DoubleMatrix(x.rows, x.columns), {}, {}};
    for (std::int64_t row = 0; row < x.rows; row += sets.rows) {
        for (std::int64_t column = 0; column < x.columns; column += of_set) {
            std::vector<std::pair<std::int64_t, std::int64_t>> members;
            for (std::int64_t r = row; r < row + sets.rows; ++r) {
                for (std::int64_t c = column; c < column + of_set; ++c) {
                    members.emplace_back(r, c);
                }
            }
            double mean = 0, variance = 0;
            for (const auto& [r, c] : members) {
                mean += x(r, c) / static_cast<double>(members.size());
            }
            for (const auto& [r, c] : members) {
                variance += std::pow(x(r, c) - mean, 2) / static_cast<double>(members.size());
            }
            for (const auto& [r, c] : members) {
                const auto channel = static_cast<std::size_t>(c / plane);
                result.y(r, c) = (x(r, c) - mean) / std::sqrt(variance + double{1e-5f}) *
                                     (scale.empty() ? 1 : scale[channel]) +
                                 (shift.empty() ? 0 : shift[channel]);
            }
            result.mean.push_back(mean);
            result.variance.push_back(variance);
        }
    }
    return result;
}

// How that y changes along t: the rules of sums, products and quotients, step by step.
inline DoubleMatrix normalise_maps_tangent(const DoubleMatrix& x, const DoubleMatrix& t,
                                           const MapSets& sets, const std::vector<double>& scale) {
    const std::int64_t plane = std::int64_t{sets.extent.height} * sets.extent.width;
    const std::int64_t of_set = plane * sets.channels; // columns
    const double elements = static_cast<double>(of_set * sets.rows);
    DoubleMatrix result(x.rows, x.columns);
    for (std::int64_t row = 0; row < x.rows; row += sets.rows) {
        for (std::int64_t column = 0; column < x.columns; column += of_set) {
            const auto over_set = [&](const auto& body) {
                for (std::int64_t r = row; r < row + sets.rows; ++r) {
                    for (std::int64_t c = column; c < column + of_set; ++c) {
                        body(r, c);
                    }
                }
            };
            double mean = 0, d_mean = 0, variance = double{1e-5f}, d_variance = 0;
            over_set([&](std::int64_t r, std::int64_t c) {
                mean += x(r, c) / elements;
                d_mean += t(r, c) / elements;
            });
            over_set([&](std::int64_t r, std::int64_t c) {
                variance += std::pow(x(r, c) - mean, 2) / elements;
                d_variance += 2 * (x(r, c) - mean) * (t(r, c) - d_mean) / elements;
            });
            const double deviation = std::sqrt(variance),
                         d_deviation = d_variance / (2 * deviation);
            over_set([&](std::int64_t r, std::int64_t c) {
                result(r, c) = ((t(r, c) - d_mean) * deviation - (x(r, c) - mean) * d_deviation) /
                               variance *
                               (scale.empty() ? 1 : scale[static_cast<std::size_t>(c / plane)]);
            });
        }
    }
    return result;
}

// Momentum 0.1, of sets of one channel: each part of the batch in turn.
inline RunningStatistics updated(RunningStatistics running, const NormalisedMaps& batch,
                                 const MapSets& sets) {
    const auto n = static_cast<double>(sets.rows * sets.extent.height * sets.extent.width);
    const std::size_t channels = running.mean.size();
    for (std::size_t set = 0; set < batch.mean.size(); ++set) {
        double& mean = running.mean[set % channels];
        double& variance = running.variance[set % channels];
        mean = 0.9 * mean + 0.1 * batch.mean[set];
        variance = 0.9 * variance + 0.1 * batch.variance[set] * n / (n - 1);
    }
    return running;
}

} // namespace patchforge::oracle
