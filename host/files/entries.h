// What lies in a folder.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace patchforge {

// Its entries whose names begin and end so, by name; none where there is no such folder.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder,
                                              std::string_view beginning = "",
                                              std::string_view ending = "");

} // namespace patchforge
