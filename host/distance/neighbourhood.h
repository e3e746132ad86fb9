// Measures by nearest-neighbour balls. The ball of an image reaches to its k-th nearest neighbour
// in its own set (itself not counted); a point on the edge is inside (<=).
//
//   precision  share of generated images inside some ball of a reference image: quality
//   recall     share of reference images inside some ball of a generated image: variety
//              (Kynkäänniemi et al. 2019, k = 3)
//   density    balls of reference images around a generated image, / k, on average; above 1 where
//              generated images crowd the dense regions
//   coverage   share of reference balls with a generated image inside
//              (Naeem et al. 2020, k = 5)
#pragma once

#include "host/numerics/features.h"

namespace patchforge {

struct PrecisionRecall {
    double precision = 0, recall = 0;
    double f1 = 0; // harmonic mean, 0 when both are 0
};

struct DensityCoverage {
    double density = 0, coverage = 0;
    // What two samples of one distribution are expected to give: density 1, and this coverage.
    double expected_coverage = 0;
};

// Both throw std::invalid_argument unless 1 <= k < the size of each set that gets balls.
PrecisionRecall precision_recall(const Features& reference, const Features& generated,
                                 std::int64_t k = 3, int threads = 0);
DensityCoverage density_coverage(const Features& reference, const Features& generated,
                                 std::int64_t k = 5, int threads = 0);

// 1 - prod_{i<k} (N - 1 - i) / (N + M - 1 - i) for N reference and M generated images of one
// distribution: the chance that one of the k nearest of the N - 1 + M others is generated.
double expected_coverage(std::int64_t reference, std::int64_t generated, std::int64_t k);

} // namespace patchforge
