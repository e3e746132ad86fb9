// What --config reads: lines of name = value, or a run's params.json.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "host/options/options.h"

namespace patchforge {

// What a file gives.
struct FileOptions {
    Given given;
    bool record = false; // a run's params.json, which says everything, defaults too
};

// `own`: options of the command line itself, which may stand in lines, too. Throws std::runtime_error and
// std::invalid_argument for what is no such file and names no such option.
FileOptions read_config(const std::filesystem::path& file, const Options& options,
                        const Options& own);

// A line of name = value, as CLI11 reads it: without quotes, an array's values with commas between.
struct ConfigLine {
    std::string section; // that it stands in; empty: none
    std::string name, value;
};
std::vector<ConfigLine>
config_lines(const std::string& text); // in command_line.cpp, where CLI11 is known

} // namespace patchforge
