// Mean and covariance of a feature matrix; mean and deviation of maps.
#pragma once

#include "host/numerics/features.h"

#include <span>

namespace patchforge {

struct Moments {
    std::int64_t count = 0;
    std::int64_t dimension = 0;
    std::vector<double> mean;       // [dimension]
    std::vector<double> covariance; // [dimension, dimension], divided by count - 1
};

// Mean of each column.
std::vector<double> column_means(const Features& features);

// Sums run in float64 around the mean, so a large common offset costs no digits. Needs two rows.
// 2 count dimension^2 operations.
Moments mean_and_covariance(const Features& features, int threads = 0);

// Of `maps` maps of equal size that lie one after the other: to[m] becomes the mean of map m's values and
// to[maps + m] their standard deviation, divided by their number. Sums run in float64.
void map_moments(std::span<const float> values, std::int64_t maps, float* to);

} // namespace patchforge
