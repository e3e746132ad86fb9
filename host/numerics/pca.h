// Principal components: the extractor that knows nothing but the reference images' pixels.
#pragma once

#include "host/numerics/features.h"

namespace patchforge {

struct PrincipalComponents {
    std::int64_t dimension = 0;
    std::int64_t components = 0;
    std::vector<double> mean;      // [dimension]
    std::vector<double> basis;     // [components, dimension], orthonormal rows, largest first
    std::vector<double> variances; // [components], 1 / (n - 1)
    double total_variance = 0;     // of all directions
};

// The `components` directions of largest variance, each signed so that its largest entry is
// positive. Where the smaller of count and dimension is at most 512 they come from an exact
// eigen-decomposition, else from randomised subspace iteration (Halko, Martinsson and Tropp 2011;
// 16 extra directions, 8 rounds), which a 7500 x 7500 problem needs: 8 rounds over 10,000 images
// cost 0.2 Tflop, the exact way 60 times that. Throws std::invalid_argument unless
// 1 <= components <= min(count - 1, dimension).
PrincipalComponents fit_principal_components(const Features& features, std::int64_t components,
                                             std::uint64_t seed = 2020, int threads = 0);

// Coordinates of each row along the components, [count, components].
Features project(const PrincipalComponents& pca, const Features& features, int threads = 0);

} // namespace patchforge
