#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace patchforge {

class MappedFile;

/// A read-only `.pfs` file, mapped into memory: all patches of a data set as uint8 planes (channel,
/// row, column), with labels, patients, positions and names. docs/formats.md gives every byte.
///
/// `open` reads and checks everything but the pixels: header, sizes, all small sections and their
/// checksums. The pixels (2 GB for the full IDC set) come in page by page as they are used;
/// `verify` reads them all and compares their checksum.
///
/// A file that is truncated, foreign, of a newer version or damaged throws std::runtime_error with
/// its name and the reason. The file must not be changed in place while it is open (mapped_file.h).
/// Const members may be called from any thread.
class PackedSet {
  public:
    /// `shown` is what errors and path() call it; empty: its path. A pack in the cache is shown as
    /// the folder that the user named.
    static PackedSet open(const std::filesystem::path& path,
                          const std::filesystem::path& shown = {});

    PackedSet(PackedSet&&) noexcept = default;
    PackedSet& operator=(PackedSet&&) noexcept = default;

    const std::filesystem::path& path() const { return path_; }
    std::int64_t count() const { return count_; } ///< at most 2^31 - 1
    int channels() const { return channels_; }    ///< 1 or 3
    int height() const { return height_; }
    int width() const { return width_; }
    std::int64_t pixels_per_patch() const { return std::int64_t{channels_} * height_ * width_; }
    std::int64_t file_bytes() const;

    /// (count, channels, height, width), 4096-byte aligned.
    const std::uint8_t* pixels() const { return pixels_; }
    /// (channels, height, width) of one patch. Throws std::invalid_argument outside 0..count-1.
    std::span<const std::uint8_t> patch(std::int64_t i) const;

    /// Index into class_names() for each patch, -1 where unknown.
    std::span<const std::int32_t> labels() const { return labels_; }
    /// As UTF-8 text: bytes that are none are written \xE9 (escape.h). So are patient names.
    std::span<const std::string> class_names() const { return class_names_; }
    /// Patches of each class, in the order of class_names().
    std::vector<std::int64_t> class_counts() const;

    /// Index into patient_names() for each patch, -1 where unknown.
    std::span<const std::int32_t> patients() const { return patients_; }
    std::span<const std::string> patient_names() const { return patient_names_; }

    /// Position of the patch in its slide in pixels, -1 where unknown.
    std::int32_t x(std::int64_t i) const { return positions_[2 * i]; }
    std::int32_t y(std::int64_t i) const { return positions_[2 * i + 1]; }

    /// The path of the patch in its folder, e.g. "9023/1/9023_idx5_x1001_y851_class1.png".
    std::string_view name(std::int64_t i) const;

    /// How the folder lay, e.g. "IDC (patient/class)".
    const std::string& source_layout() const { return source_layout_; }

    /// A number that differs when anything in the set differs: 64-bit FNV-1a over the sizes and the
    /// checksums of all sections. Costs nothing: it trusts the stored checksum of the pixels.
    std::uint64_t content_hash() const { return content_hash_; }

    /// The same set with its classes numbered as in `class_names`, matched by name (class_match.h).
    /// Throws std::invalid_argument naming a class of its patches that is not among them.
    PackedSet with_classes(std::span<const std::string> class_names) const;

    /// Reads all pixels and compares their checksum. Throws std::runtime_error when they differ.
    void verify() const;

  private:
    PackedSet() = default;
    PackedSet(const PackedSet&) = default; // shares the file; for with_classes

    std::filesystem::path path_;
    std::shared_ptr<const MappedFile> file_;
    std::int64_t count_ = 0;
    int channels_ = 0;
    int height_ = 0;
    int width_ = 0;
    const std::uint8_t* pixels_ = nullptr;
    std::uint32_t pixels_checksum_ = 0;
    std::span<const std::int32_t> labels_;
    std::shared_ptr<const std::vector<std::int32_t>> own_labels_; // of with_classes
    std::span<const std::int32_t> patients_;
    std::span<const std::int32_t> positions_;
    std::span<const std::uint64_t> name_ends_; // end of each name in name_text_
    std::string_view name_text_;
    std::vector<std::string> class_names_;
    std::vector<std::string> patient_names_;
    std::string source_layout_;
    std::uint64_t content_hash_ = 0;
};

/// True when the file starts with the signature of a `.pfs` file. False when it cannot be read.
bool is_packed_set(const std::filesystem::path& path);

} // namespace patchforge
