#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace patchforge {

/// When a file that was committed is there after a loss of power, too. Killed processes and full disks
/// are no matter of this.
enum class OnDisk {
    at_commit, ///< for what cannot be made again: two waits for the disk a file
    later, ///< of many files: when bring_to_disk() or the system does it; until then such a file may be lost or empty
};

/// A file that appears under its name whole or not at all.
///
/// Bytes go to a temporary beside the target (`<name>.<pid>-<n>.partial`). `commit()` brings them
/// to the disk (fsync), renames the temporary over the target and syncs the folder; with
/// OnDisk::later it only renames. Without `commit()` the destructor removes the temporary and whatever stood under the name stays.
/// A target that is a symbolic link is followed: the file it points to is replaced.
/// A process that is killed leaves the temporary, never a broken target; the next process that makes
/// a file in that folder takes the temporary back.
///
/// Nothing but regular files is replaced. A named pipe, a terminal or another character device, and
/// the process's own streams (`/dev/stdout`, `/dev/fd/3`, and `-` for standard output) are written to
/// as they stand, in order; folders, disks and sockets are refused.
///
/// Every failure (full disk, unwritable folder, …) throws std::runtime_error naming the target.
class AtomicFile {
  public:
    explicit AtomicFile(const std::filesystem::path& path);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    /// Appends at the current position.
    void write(const void* bytes, std::size_t count);
    void write(std::span<const std::uint8_t> bytes) { write(bytes.data(), bytes.size()); }
    void write(std::string_view text) { write(text.data(), text.size()); }

    /// Moves the position, in bytes from the start; a gap reads as zeros. A stream throws
    /// std::runtime_error.
    void seek(std::uint64_t offset);
    std::uint64_t position() const { return position_; }

    /// Call once, last.
    void commit(OnDisk on_disk = OnDisk::at_commit);

  private:
    std::filesystem::path target_;
    std::filesystem::path temporary_;
    int descriptor_ = -1;
    bool stream_ = false; // written to as it stands, without a temporary
    int slot_ = -1;       // of the temporaries that a signal removes
    std::uint64_t position_ = 0;
};

/// A whole file in one call. The folder of `path` must exist.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes,
                           OnDisk on_disk = OnDisk::at_commit);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// All files within a folder that were committed with OnDisk::later, and whatever else the file system
/// has not written yet (syncfs). Throws as AtomicFile does.
void bring_to_disk(const std::filesystem::path& folder);
/// What was made, renamed and removed in it, where the file system can.
void sync_folder(const std::filesystem::path& folder);

/// Removes the temporaries in a folder that processes left which are no more.
void remove_abandoned_temporaries(const std::filesystem::path& folder);

/// Removes the temporaries of this process. For handlers of signals: takes no lock and no memory.
void remove_own_temporaries();

} // namespace patchforge
