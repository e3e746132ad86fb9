#pragma once

#include <bit>
#include <cstdint>

/// The bytes of a `.pfs` file, shared by its reader and its writer. docs/formats.md explains them.
namespace patchforge::packed_set_format {

static_assert(std::endian::native == std::endian::little, "the file is mapped, not converted");

/// As PNG's: a byte above 127, line ends and an end-of-file mark show damage by text-mode copying.
constexpr std::uint8_t signature[8] = {0x89, 'P', 'F', 'S', '\r', '\n', 0x1a, '\n'};
constexpr std::uint32_t version = 1;
constexpr std::uint64_t header_bytes = 4096; // one page, so that the pixels after it are aligned
constexpr std::uint64_t section_alignment = 64;

enum Section : std::uint32_t {
    section_pixels,        // uint8 (count, channels, height, width)
    section_labels,        // int32 (count)
    section_patients,      // int32 (count)
    section_positions,     // int32 (count, 2): x, y
    section_names,         // string table of count
    section_class_names,   // string table
    section_patient_names, // string table
    section_source_layout, // string table of 1
    section_count
};
constexpr const char* section_names_for_errors[section_count] = {
    "pixels", "labels",      "patients",      "positions",
    "names",  "class names", "patient names", "source layout"};

struct SectionEntry {
    std::uint64_t offset;   // from the start of the file
    std::uint64_t bytes;    // without the padding after it
    std::uint32_t checksum; // CRC-32 (zlib's) of those bytes
    std::uint32_t zero;
};

struct Header {
    std::uint8_t signature[8];
    std::uint32_t version;
    std::uint32_t section_entries;
    std::uint64_t file_bytes;
    std::uint64_t count;
    std::uint32_t channels;
    std::uint32_t height;
    std::uint32_t width;
    std::uint32_t zero;
    SectionEntry sections[section_count];
    std::uint8_t padding[header_bytes - 48 - section_count * sizeof(SectionEntry) - 4];
    std::uint32_t checksum; // CRC-32 of the header's bytes before it
};
static_assert(sizeof(SectionEntry) == 24 && sizeof(Header) == header_bytes);

/// A string table is: uint64 number of strings, uint64 end of each string (bytes from the start of
/// the text), then the text of all strings without separators.

} // namespace patchforge::packed_set_format
