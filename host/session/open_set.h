// The sets of a call: .pfs files, or folders packed once into the cache, with progress and a report.
#pragma once

#include <optional>

#include "data/packed_set.h"
#include "host/options/data_options.h"
#include "kernels/extent.h"

namespace patchforge {

PackedSet open_set(const DataOptions& options, int threads);

// None where --data was not given.
std::optional<PackedSet> open_set_if_given(const DataOptions& options, int threads);

inline Extent extent_of(const PackedSet& set) {
    return {set.channels(), set.height(), set.width()};
}

// content_hash() as params.json says it.
std::string hash_of(const PackedSet& set);

// Pictures of another folder or file, read as `options` says, whatever part they are in.
PackedSet open_all_parts(const std::string& data, DataOptions options, int threads);

// What was packed and what was left out, as lines for people.
void print_pack_report(const PackReport& report);

} // namespace patchforge
