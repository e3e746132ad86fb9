#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace patchforge {

/// An MNIST IDX file of bytes: big-endian header `0 0 8 D`, D sizes of 32 bits, then the values.
/// Three dimensions are images (count, height, width), one is labels (count). Of a table of int32 (type 0x0c; count, or
/// count x columns), which QMNIST's labels are, the first column is read: the classes, 0 to 255.
struct IdxArray {
    std::vector<std::int64_t> sizes;  // as the header gives them; of a table the rows alone
    std::vector<std::uint8_t> values; // row-major, product of sizes
};

/// At most this many values: 2^30, 23 times MNIST.
constexpr std::int64_t max_idx_values = std::int64_t{1} << 30;

/// Reads a plain or gzip-compressed (`.gz`, told by its bytes) file. Throws std::runtime_error
/// naming the file when it is foreign, truncated, damaged or has trailing bytes.
IdxArray read_idx(const std::filesystem::path& path);

/// The same from memory; `name` is what errors call it.
IdxArray decode_idx(std::span<const std::uint8_t> bytes, const std::string& name);

} // namespace patchforge
