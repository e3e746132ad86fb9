#pragma once

#include "data/packed_set.h"
#include "data/part.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <vector>

namespace patchforge {

/// The parts of a packed set, told from the names of its patches as those of a folder from its paths
/// (layout.h): rows of each, ascending. Empty where it has none.
std::map<Part, std::vector<std::int64_t>> parts_of(const PackedSet& set);

/// Writes these rows of a set as a set of their own. Classes and patients keep their numbers.
void write_rows(const PackedSet& set, const std::vector<std::int64_t>& rows,
                const std::filesystem::path& out);

} // namespace patchforge
