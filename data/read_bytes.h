#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace patchforge {

/// The whole file. Throws std::runtime_error naming the file when it is missing, not a regular
/// file, unreadable or larger than `limit` bytes.
std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path, std::uint64_t limit);

/// The same into `bytes`, whose memory is reused: for reading many small files in a row.
void read_bytes(const std::filesystem::path& path, std::uint64_t limit,
                std::vector<std::uint8_t>& bytes);

} // namespace patchforge
