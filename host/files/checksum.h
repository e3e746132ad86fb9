// The checksum of a safetensors file, in its metadata: "crc32", eight hexadecimal digits, the CRC-32 of the whole file
// with zeros for these digits. Other programs' readers see one more entry of metadata.
#pragma once

#include <cstddef>
#include <span>

namespace patchforge {

inline constexpr const char* checksum_key = "crc32";
inline constexpr const char* no_checksum = "00000000"; // what stands there before seal()

// `file` ends its header at `header_end` and has the entry. Writes the digits.
void seal(std::span<std::byte> file, std::size_t header_end);
// Whether the digits are there and right.
bool is_sealed(std::span<const std::byte> file, std::size_t header_end);

} // namespace patchforge
