#pragma once

#include "data/packed_set.h"

#include <filesystem>
#include <string>
#include <vector>

namespace patchforge {

/// The paths of `a.pfs,b.pfs`: one where there is no comma, or a file of that very name.
std::vector<std::filesystem::path> listed_paths(const std::filesystem::path& list);

/// Writes all patches of these sets, one set behind the other, as a set of their own. Classes and
/// patients of the same name are the same; those of the first set come first. Throws
/// std::invalid_argument when patches differ in size or channels.
void write_union(const std::vector<PackedSet>& sets, const std::filesystem::path& out);

} // namespace patchforge
