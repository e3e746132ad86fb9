// What the report of every run ends with: its networks as tables, and its settings.
#pragma once

#include <filesystem>

#include "host/options/parameters.h"
#include "host/page/report.h"

namespace patchforge {

// A table a network of the newest checkpoint: layer, what it gives, its parameters, its operations. What
// has the same layers (a generator and its average) shares one. Nothing where there is no checkpoint.
void add_network_tables(Report& report, const std::filesystem::path& run);

// What a run began with, as the page's settings `of` something.
void add_parameters(Report& report, const std::string& of, const Parameters& parameters);

} // namespace patchforge
