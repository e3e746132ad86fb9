// params.json: {"run": kind, "parameters": {...}}, in the order given.
#pragma once

#include <string>
#include <vector>

#include "host/run/run_folder.h"

namespace patchforge {

bool is_run_folder(const std::filesystem::path& path);

// Throws std::invalid_argument for a name that stands twice or a number that is not finite.
std::string encode_parameters(const std::string& kind, const Parameters& parameters);

// Leaves a file that says the same already untouched.
void write_parameters(const std::filesystem::path& run, const std::string& text);

// One line a parameter that differs and is not in `may_change`: "  name: before -> now\n".
std::string parameter_difference(const Parameters& before, const Parameters& now,
                                 const std::vector<std::string>& may_change);

} // namespace patchforge
