// How near fakes come to patches, beside how near other real patches come. A smooth patch has near fakes
// whoever was trained on; only one that is nearer than real patches are to each other says something.
#pragma once

#include <cstdint>
#include <vector>

#include "host/numerics/distances.h"
#include "host/numerics/features.h"

namespace patchforge {

struct Nearness {
    std::vector<Neighbour> fake; // of each patch, among the fakes
    std::vector<Neighbour> real; // among all other patches

    // Distance to the fake over that to the real patch. 1 where both are 0, infinity where a real patch
    // alone is the same.
    double relative(std::size_t patch) const { return over(patch, fake[patch].distance); }
    double over(std::size_t patch, double distance) const;
};

// For each patch the nearest of `among`, or, where that is the very same object, the nearest other one.
// The ranks of a job share the patches.
std::vector<Neighbour> nearest_of(const Features& patches, const Features& among, int threads);

// Both. Throws std::invalid_argument for fewer than two patches, no
// fakes, or other dimensions.
Nearness nearness(const Features& patches, const Features& fakes, int threads);

// A fake within half the distance of the nearest real patch is a copy: the mean of patches that differ by
// noise alone, the best that a generator does without knowing one of them, lies at 1 / sqrt(2) of it.
constexpr double copy_distance = 0.5;
std::int64_t copies_among(const Nearness& nearness, std::size_t first, std::size_t end);

} // namespace patchforge
