#include "host/model/class_names.h"

#include <fmt/format.h>

#include <algorithm>

namespace patchforge {

std::vector<std::string> class_folders(const std::vector<std::string>& class_names) {
    const bool usable =
        std::is_sorted(class_names.begin(), class_names.end()) &&
        std::all_of(class_names.begin(), class_names.end(), [](const std::string& name) {
            return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos;
        });
    if (usable) {
        return class_names;
    }
    // Numbers as they are, brought to one length, or else the classes' own.
    const bool numbers = std::ranges::all_of(class_names, [](const std::string& name) {
        return !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
    });
    std::size_t digits = std::to_string(class_names.size() - 1).size();
    for (const std::string& name : class_names) {
        digits = numbers ? std::max(digits, name.size()) : digits;
    }
    std::vector<std::string> folders;
    for (std::size_t c = 0; c < class_names.size(); ++c) {
        folders.push_back(
            fmt::format("{:0>{}}", numbers ? class_names[c] : std::to_string(c), digits));
    }
    return folders;
}

} // namespace patchforge
