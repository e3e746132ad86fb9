#pragma once

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace patchforge {

/// A file that cannot be read. `what()` names the file, the reason and what to do; `reason()` is the
/// middle part alone.
class FileError : public std::runtime_error {
  public:
    FileError(const std::filesystem::path& path, const std::string& reason,
              const std::string& advice);
    const std::string& reason() const { return reason_; }

  private:
    std::string reason_;
};

/// The whole file. Throws FileError when it is missing, not a regular file (a named pipe would
/// wait for its writer), unreadable or larger than `limit` bytes.
std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path, std::uint64_t limit);

/// The same into `bytes`, whose memory is reused: for reading many small files in a row.
void read_bytes(const std::filesystem::path& path, std::uint64_t limit,
                std::vector<std::uint8_t>& bytes);

/// The first `count` bytes, fewer where the file is shorter.
void read_head(const std::filesystem::path& path, std::size_t count,
               std::vector<std::uint8_t>& bytes);

} // namespace patchforge
