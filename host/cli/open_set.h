// --data of a call as an open set: a .pfs file, or a folder packed once into the cache, with
// progress.
#pragma once

#include <string>

#include "data/packed_set.h"
#include "host/cli/options.h"

namespace patchforge {

PackedSet open_set(const DataOptions& options, int threads);

} // namespace patchforge
