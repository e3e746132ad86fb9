#include "data/class_match.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace patchforge {

namespace {

std::optional<std::int32_t> number_in(const std::string& name) {
    std::int32_t number = 0;
    const char* end = name.data() + name.size();
    const auto [stopped, error] = std::from_chars(name.data(), end, number);
    return error == std::errc() && stopped == end ? std::optional(number) : std::nullopt;
}

} // namespace

std::vector<std::int32_t> match_classes(std::span<const std::string> others,
                                        std::span<const std::string> names) {
    std::vector<std::optional<std::int32_t>> values;
    for (const std::string& name : names) {
        values.push_back(number_in(name));
    }
    const bool names_are_numbers =
        std::ranges::any_of(values, [](const auto& value) { return value.has_value(); });
    std::vector<std::int32_t> numbers;
    for (const std::string& other : others) {
        const std::optional<std::int32_t> value = number_in(other);
        const auto equal = std::ranges::find(names, other);
        std::int64_t number = -1;
        if (equal != names.end()) {
            number = equal - names.begin();
        } else if (value && names_are_numbers) {
            const auto same = std::ranges::find(values, value);
            number = same == values.end() ? -1 : same - values.begin();
        } else if (value) {
            number = *value;
        }
        const bool exists = number >= 0 && number < std::ssize(names);
        numbers.push_back(exists ? static_cast<std::int32_t>(number) : -1);
    }
    return numbers;
}

} // namespace patchforge
