// The facts that a safetensors file gives beside its weights: one reader, which bounds them before they are used.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/files/safetensors.h"

namespace patchforge {

// All throw std::runtime_error naming the file, the fact and what to do.

// The one value of a tensor U64 that holds one.
std::uint64_t scalar_u64(const TensorFile& file, const std::string& tensor);

// A whole number of the metadata within [low, high]; nothing where the key is absent.
std::optional<int> metadata_number(const TensorFile& file, const std::string& key, int low,
                                   int high);
// Channels, height or width of patches, so that no product of three overflows.
inline std::optional<int> metadata_extent(const TensorFile& file, const std::string& key) {
    return metadata_number(file, key, 1, 65535);
}

// Names as one entry of metadata: a JSON list, bytes that are not UTF-8 as data/escape.h writes them.
std::string names_entry(const std::vector<std::string>& names);
// The same back; nothing where the key is absent. A text that is no list holds a name a line: so generators were
// written before names could hold line breaks.
std::optional<std::vector<std::string>> names_of(const TensorFile& file, const std::string& key);

} // namespace patchforge
