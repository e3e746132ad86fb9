// Bytes as text, so that a page can carry its own pictures.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace patchforge {

// RFC 4648, with padding, without line ends.
std::string base64(std::span<const std::uint8_t> bytes);

} // namespace patchforge
