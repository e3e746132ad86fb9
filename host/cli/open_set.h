// --data of a call as an open set: a .pfs file, or a folder packed once into the cache, with
// progress and a report.
#pragma once

#include "data/packed_set.h"
#include "host/options/data_options.h"

namespace patchforge {

PackedSet open_set(const DataOptions& options, int threads);

// Pictures of another folder or file, read as `options` says, whatever part they are in.
PackedSet open_all_parts(const std::string& data, DataOptions options, int threads);

// What was packed and what was left out, as lines for people.
void print_pack_report(const PackReport& report);

} // namespace patchforge
