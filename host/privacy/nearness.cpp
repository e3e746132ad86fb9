#include "host/privacy/nearness.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "host/ranks/shared_rows.h"

namespace patchforge {

namespace {

// Whole tiles of for_each_distance_tile, so that a row's sums are those of all rows at once.
constexpr std::int64_t shared_rows = 256;

} // namespace

std::vector<Neighbour> nearest_of(const Features& patches, const Features& among, int threads) {
    std::vector<Neighbour> nearest(static_cast<std::size_t>(patches.count));
    const auto search = [&](std::int64_t first, std::int64_t count) {
        std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
        std::iota(rows.begin(), rows.end(), first);
        std::ranges::copy(nearest_neighbours(take_rows(patches, rows), among, threads,
                                             &patches == &among ? first : -1),
                          nearest.begin() + first);
    };
    share_batches(std::span(nearest), patches.count, 1,
                  SharedRows::ranks() ? shared_rows : patches.count, search);
    return nearest;
}

double Nearness::over(std::size_t patch, double distance) const {
    const double to_real = real[patch].distance;
    return to_real > 0    ? distance / to_real
           : distance > 0 ? std::numeric_limits<double>::infinity()
                          : 1;
}

Nearness nearness(const Features& patches, const Features& fakes, int threads) {
    check_features(patches, "patches", 2);
    check_pair(patches, fakes);
    return {nearest_of(patches, fakes, threads), nearest_of(patches, patches, threads)};
}

std::int64_t copies_among(const Nearness& nearness, std::size_t first, std::size_t end) {
    std::int64_t copies = 0;
    for (std::size_t patch = first; patch < end; ++patch) {
        copies += nearness.relative(patch) < copy_distance;
    }
    return copies;
}

} // namespace patchforge
