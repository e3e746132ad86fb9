// params.json: {"run": kind, "parameters": {...}}, in the order given.
#pragma once

#include <string>

#include "host/run/run_folder.h"

namespace patchforge {

bool is_run_folder(const std::filesystem::path& path);

// The parameters of a params.json under whatever name. Throws std::runtime_error naming the file.
Parameters read_parameters_file(const std::filesystem::path& file);

// Throws std::invalid_argument for a name that stands twice or a number that is not finite.
std::string encode_parameters(const std::string& kind, const Parameters& parameters);

// Leaves a file that says the same already untouched.
void write_parameters(const std::filesystem::path& run, const std::string& text);

// One line a parameter that differs and may not: "  name: before -> now\n". Compared as texts, so
// that a number and the same number written as a text are equal.
std::string parameter_difference(const Parameters& before, const Parameters& now,
                                 const ResumeRules& rules);

} // namespace patchforge
