// A result in a file that the user names, such as `generate --grid FILE`. What stands there already is replaced where
// patchforge wrote it, which a mark near its beginning says, or where it is empty; anything else stays. Pipes and
// terminals are written to as they stand (data/atomic_file.h).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace patchforge {

// Before any work. Throws std::invalid_argument naming the option and the file, and std::runtime_error where no file
// can be made. `path` empty: nothing is written. `makes_folders`: the verb may make the folder that it lies in.
void check_named_file(const std::string& option, const std::filesystem::path& path,
                      std::string_view mark, bool makes_folders = false);

} // namespace patchforge
