// Named values with their types: what params.json holds and reports show.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace patchforge {

// Whole numbers are std::int64_t where they fit, std::uint64_t beyond.
using ParameterValue = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;
// In the order in which people should read them. Names are unique, numbers finite.
using Parameters = std::vector<std::pair<std::string, ParameterValue>>;

// As a person would write it: 5, 0.0002, true, a text as it stands.
std::string parameter_text(const ParameterValue& value);
// All of them, by name.
std::map<std::string, std::string> parameter_texts(const Parameters& parameters);

} // namespace patchforge
