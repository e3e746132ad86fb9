// Letters for the words on picture sheets.
#pragma once

#include <cstdint>

namespace patchforge {

// Printable ASCII from space on. Five columns a letter; bit y of a column is row y from the top.
extern const std::uint8_t font_5x7[95][5];

} // namespace patchforge
