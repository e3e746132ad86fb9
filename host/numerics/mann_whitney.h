// Which of two samples has the larger values: Mann and Whitney (1947), "On a test of whether one of two random variables
// is stochastically larger than the other".
#pragma once

#include <span>

namespace patchforge {

struct MannWhitney {
    double u = 0; // pairs (a, b) with a > b, a tie counting one half
    double z = 0; // normal approximation with tie correction; 0 when all values are equal
};

// Mann-Whitney U of two samples: z << 0 when values of `a` tend to be the smaller. Throws
// std::invalid_argument when a sample is empty.
MannWhitney mann_whitney(std::span<const double> a, std::span<const double> b);

} // namespace patchforge
