// Lists of layer widths on the command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace patchforge {

// "256,256" -> {256, 256}. Throws std::invalid_argument beginning with --hidden-dims.
std::vector<std::int64_t> parse_widths(const std::string& text);

} // namespace patchforge
