// Sliced Wasserstein distance in the scaling called MIND: along random unit directions u the sorted
// projections of both sets are matched one to one, and
//
//     MIND = 3 d mean_u mean_i (x_(i) . u - y_(i) . u)^2
//
// A shift of both sets by mu in every coordinate gives 3 d mu^2. It needs no covariance and sees
// differences of shape that the Fréchet distance, which knows two moments, cannot.
#pragma once

#include "host/numerics/features.h"

namespace patchforge {

// The larger set is cut to the size of the smaller by a random choice without replacement. Throws
// std::invalid_argument when directions < 1.
double sliced_distance(const Features& reference, const Features& generated, int directions = 1000,
                       std::uint64_t seed = 2020, int threads = 0);

} // namespace patchforge
