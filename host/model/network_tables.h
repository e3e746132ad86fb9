// The networks of a run as tables of its report.
#pragma once

#include <filesystem>

#include "host/page/report.h"

namespace patchforge {

// A table a network of the newest checkpoint: layer, what it gives, its parameters, its operations. What
// has the same layers (a generator and its average) shares one. Nothing where there is no checkpoint.
void add_network_tables(Report& report, const std::filesystem::path& run);

} // namespace patchforge
