#include "data/class_match.h"

#include <algorithm>
#include <charconv>
#include <numeric>
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

std::vector<std::int32_t> classes_known(std::span<const std::string> of_set,
                                        std::span<const std::string> of_model) {
    std::vector<std::int32_t> numbers = match_classes(of_set, of_model);
    if (std::ranges::count(numbers, -1) == std::ssize(numbers) &&
        of_set.size() == of_model.size()) {
        const std::vector<std::int32_t> known = match_classes(of_model, of_set);
        for (std::size_t k = 0; k < known.size(); ++k) {
            if (known[k] >= 0) {
                numbers[static_cast<std::size_t>(known[k])] = static_cast<std::int32_t>(k);
            }
        }
    }
    return numbers;
}

bool same_classes(std::span<const std::string> a, std::span<const std::string> b) {
    std::vector<std::int32_t> in_order(a.size());
    std::iota(in_order.begin(), in_order.end(), 0);
    return a.size() == b.size() &&
           (match_classes(a, b) == in_order || match_classes(b, a) == in_order);
}

} // namespace patchforge
