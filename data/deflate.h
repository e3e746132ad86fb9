#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace patchforge {

/// Streams of zlib (RFC 1950), each in one piece: by libdeflate where this program was built with it, which takes
/// half of zlib's time, and by zlib where it was not.

/// False where the stream is damaged or holds fewer or more bytes than `bytes` has room for.
bool inflate_whole(std::span<const std::uint8_t> stream, std::span<std::uint8_t> bytes);

/// The stream of these bytes, the same for the same bytes and library.
std::vector<std::uint8_t> deflate_whole(std::span<const std::uint8_t> bytes);

} // namespace patchforge
