// Mean and covariance of a feature matrix.
#pragma once

#include "host/numerics/features.h"

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

} // namespace patchforge
