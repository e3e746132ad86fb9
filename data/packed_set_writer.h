#pragma once

#include "data/atomic_file.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace patchforge {

/// What is known of one patch beside its pixels; -1 where unknown.
struct PatchFacts {
    std::string_view name;
    std::int32_t label = -1;
    std::int32_t patient = -1;
    std::int32_t x = -1;
    std::int32_t y = -1;
};

/// Writes a `.pfs` file patch by patch: the pixels go to the disk at once, everything else is kept
/// (about 24 bytes and the name of each patch) until `finish`. Without `finish` nothing appears.
class PackedSetWriter {
  public:
    /// Throws std::invalid_argument for sizes that no set can have.
    PackedSetWriter(const std::filesystem::path& path, int channels, int height, int width);

    /// `pixels` is (channels, height, width).
    void append(std::span<const std::uint8_t> pixels, const PatchFacts& facts);
    std::int64_t count() const { return static_cast<std::int64_t>(labels_.size()); }

    /// Completes the file under its name. Throws std::runtime_error when nothing was appended and
    /// std::invalid_argument when a label or patient has no name.
    void finish(std::span<const std::string> class_names,
                std::span<const std::string> patient_names, std::string_view source_layout);

  private:
    std::filesystem::path path_;
    AtomicFile file_;
    int channels_;
    int height_;
    int width_;
    std::uint32_t pixels_checksum_ = 0;
    std::vector<std::uint8_t> buffer_; // pixels not yet written
    std::vector<std::int32_t> labels_;
    std::vector<std::int32_t> patients_;
    std::vector<std::int32_t> positions_;
    std::vector<std::uint64_t> name_ends_;
    std::string name_text_;

    void write_buffer();
};

} // namespace patchforge
