#include "host/files/entries.h"

#include <algorithm>
#include <string>

namespace patchforge {

std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder,
                                              std::string_view beginning, std::string_view ending) {
    std::vector<std::filesystem::path> found;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with(beginning) && name.ends_with(ending)) {
            found.push_back(entry.path());
        }
    }
    std::ranges::sort(found);
    return found;
}

} // namespace patchforge
