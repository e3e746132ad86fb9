#include "host/model/class_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace patchforge {

std::vector<std::int32_t> match_classes(std::span<const std::string> others,
                                        std::span<const std::string> names) {
    std::vector<std::int32_t> numbers;
    for (const std::string& other : others) {
        const auto equal = std::ranges::find(names, other);
        std::int32_t number = -1;
        if (equal != names.end()) {
            number = static_cast<std::int32_t>(equal - names.begin());
        } else {
            const char* end = other.data() + other.size();
            const auto [stopped, error] = std::from_chars(other.data(), end, number);
            if (error != std::errc() || stopped != end || number < 0 ||
                number >= static_cast<std::int32_t>(names.size())) {
                number = -1;
            }
        }
        numbers.push_back(number);
    }
    return numbers;
}

std::vector<std::string> class_folders(const std::vector<std::string>& class_names) {
    const bool usable =
        std::is_sorted(class_names.begin(), class_names.end()) &&
        std::all_of(class_names.begin(), class_names.end(), [](const std::string& name) {
            return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos;
        });
    if (usable) {
        return class_names;
    }
    std::vector<std::string> folders;
    const std::size_t digits = std::to_string(class_names.size() - 1).size();
    for (std::size_t c = 0; c < class_names.size(); ++c) {
        folders.push_back(fmt::format("{:0{}}", c, digits));
    }
    return folders;
}

} // namespace patchforge
