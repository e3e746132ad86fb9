#pragma once

#include "data/packed_set.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace patchforge {

/// Patches that stand on both sides of a test.
struct EqualPatches {
    std::int64_t count = 0; ///< of the second set's patches
    /// The first few: names in the second set and in the first.
    std::vector<std::pair<std::string, std::string>> named;
};

/// The patches of `second` whose pixels are those of a patch of `first`, whatever they are named.
/// Sets of other sizes or channels have none in common. Reads all pixels once.
EqualPatches equal_patches(const PackedSet& first, const PackedSet& second);

} // namespace patchforge
