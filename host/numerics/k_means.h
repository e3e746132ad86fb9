// Lloyd's k-means with k-means++ seeding (Arthur and Vassilvitskii 2007).
#pragma once

#include "host/numerics/features.h"

namespace patchforge {

// The centres [k, dimension] after at most `iterations` rounds, or fewer when no row changes its
// centre. A centre that loses all rows stays where it was. Throws std::invalid_argument unless
// 1 <= k <= count.
Features k_means(const Features& features, std::int64_t k, std::uint64_t seed, int iterations = 20,
                 int threads = 0);

} // namespace patchforge
