// What --config reads: lines of name = value, or a run's params.json.
#pragma once

#include <filesystem>

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

} // namespace patchforge
