#include "host/options/parameters.h"

#include <fmt/format.h>

namespace patchforge {

std::string parameter_text(const ParameterValue& value) {
    return std::visit([](const auto& held) { return fmt::format("{}", held); }, value);
}

std::map<std::string, std::string> parameter_texts(const Parameters& parameters) {
    std::map<std::string, std::string> texts;
    for (const auto& [name, value] : parameters) {
        texts[name] = parameter_text(value);
    }
    return texts;
}

} // namespace patchforge
