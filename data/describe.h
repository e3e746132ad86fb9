#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace patchforge {

/// Facts in the order to print them: what, value.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// What a `.pfs` file, a folder of patches, a picture, an IDX or `.npy` file is. A `.pfs` file is read whole
/// and its pixels' checksum compared. Throws std::runtime_error for damaged or unknown files.
Facts describe_data(const std::filesystem::path& path);

/// True when describe_data knows this kind of file or folder.
bool is_data(const std::filesystem::path& path);

} // namespace patchforge
