#pragma once

#include <cstdint>

namespace patchforge {

/// The number in four bytes, the highest first, as PNG and IDX files have it.
constexpr std::uint32_t big_endian(const std::uint8_t* bytes) {
    return std::uint32_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

} // namespace patchforge
