#include "host/options/parameters.h"

#include <fmt/format.h>

namespace patchforge {

std::string parameter_text(const ParameterValue& value) {
    return std::visit([](const auto& held) { return fmt::format("{}", held); }, value);
}

} // namespace patchforge
