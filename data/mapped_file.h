#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace patchforge {

/// A regular file mapped into memory, read-only. Throws FileError as read_bytes does.
///
/// The file must not be changed in place while it is mapped; patchforge itself only ever replaces
/// files, which is safe. A file that becomes shorter meanwhile would end the process by SIGBUS: the
/// first mapping installs a handler that writes one line naming the file and ends with status 1.
class MappedFile {
  public:
    /// `shown` is what errors call the file; empty: its path.
    explicit MappedFile(const std::filesystem::path& path, const std::filesystem::path& shown = {});
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    /// Page-aligned; empty for an empty file.
    std::span<const std::uint8_t> bytes() const { return {bytes_, size_}; }

  private:
    const std::uint8_t* bytes_ = nullptr;
    std::size_t size_ = 0;
    void* guard_ = nullptr;
};

} // namespace patchforge
