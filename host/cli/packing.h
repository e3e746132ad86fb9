// From the options of a call to pack_folder, and its report as lines for people.
#pragma once

#include "data/pack.h"
#include "host/cli/options.h"

namespace patchforge {

PackOptions pack_options(const DataOptions& options, int threads);
void print_pack_report(const PackReport& report);

} // namespace patchforge
