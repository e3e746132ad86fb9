#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace patchforge {

/// What a file is by its first bytes, for errors: "an HDF5 file", "a ZIP archive (as .npz and .pt are)",
/// "text", "an empty file", or "a file of a kind not known here".
std::string file_kind(std::span<const std::uint8_t> head);
/// The same of a file on disk; "a file that cannot be read".
std::string file_kind(const std::filesystem::path& path);

} // namespace patchforge
