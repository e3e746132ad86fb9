#include "data/atomic_file.h"

#include "data/new_files.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace patchforge {

namespace {

namespace fs = std::filesystem;

std::string advice(int error) {
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return "free some space or choose another folder";
    case EACCES:
    case EPERM:
    case EROFS:
        return "choose a folder you may write to";
    case EFBIG:
        return "raise the limit on the size of files (ulimit -f)";
    case EISDIR:
        return "name a file";
    case ENOENT:
    case ENOTDIR:
        return "create the folder first or correct the path";
    default:
        return "check the disk and the path";
    }
}

[[noreturn]] void fail(const fs::path& target, const char* action, int error) {
    throw std::runtime_error(fmt::format("{}: cannot {}: {}; {}", target.string(), action,
                                         std::strerror(error), advice(error)));
}

fs::path folder_of(const fs::path& path) {
    return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Names may be at most 255 bytes: a long one is cut so that the temporary's ending still fits.
fs::path temporary_beside(const fs::path& target) {
    static std::atomic<unsigned> counter{0};
    const std::string ending = fmt::format(".{}-{}.partial", ::getpid(), counter++);
    std::string name = target.filename().string();
    name.resize(std::min(name.size(), 255 - ending.size()));
    return folder_of(target) / (name + ending);
}

/// Paths that a handler of signals may read at any moment. A path that is too long, and a process
/// with more temporaries than these, leave the removal to whoever writes there next.
struct TemporarySlot {
    std::atomic<int> state{0}; // 0: free, 1: being filled, 2: a file
    std::array<char, PATH_MAX> path{};
};
std::array<TemporarySlot, 64> slots;

int take_slot(const std::string& path) {
    for (std::size_t i = 0; i < slots.size() && path.size() < PATH_MAX; ++i) {
        int free = 0;
        if (slots[i].state.compare_exchange_strong(free, 1)) {
            std::memcpy(slots[i].path.data(), path.c_str(), path.size() + 1);
            slots[i].state = 2;
            return static_cast<int>(i);
        }
    }
    return -1;
}

void free_slot(int slot) {
    if (slot >= 0) {
        slots[static_cast<std::size_t>(slot)].state = 0;
    }
}

/// Whether a name is `<name>.<pid>-<n>.partial`.
bool is_temporary(std::string_view name) {
    constexpr std::string_view ending = ".partial";
    if (!name.ends_with(ending)) {
        return false;
    }
    name.remove_suffix(ending.size());
    for (const char before : {'-', '.'}) {
        const std::size_t rest = name.find_last_not_of("0123456789") + 1;
        if (rest < 2 || rest == name.size() || name[rest - 1] != before) {
            return false;
        }
        name.remove_suffix(name.size() - rest + 1);
    }
    return true;
}

/// The lock tells whoever takes temporaries back that this one's process lives, on other machines, too.
/// It may have been taken back before it was locked: then once more.
int create_locked(const fs::path& path) {
    while (true) {
        const int file = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
        struct stat facts {};
        if (file < 0 || ::flock(file, LOCK_EX) != 0 || ::fstat(file, &facts) != 0 ||
            facts.st_nlink > 0) {
            return file;
        }
        ::close(file);
    }
}

/// Once a folder and process: reading a folder for each of its files would cost a square.
void clean_once(const fs::path& folder) {
    static std::mutex mutex;
    static std::set<fs::path> cleaned;
    {
        const std::lock_guard lock(mutex);
        if (!cleaned.insert(folder).second) {
            return;
        }
    }
    remove_abandoned_temporaries(folder);
}

/// The process's own descriptor that a path stands for, or -1. Opening such a path would begin at
/// the start of a file that the shell redirected to.
int own_descriptor(const std::string& path) {
    if (path == "-" || path == "/dev/stdout") {
        return STDOUT_FILENO;
    }
    if (path == "/dev/stderr") {
        return STDERR_FILENO;
    }
    for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
        int number = -1;
        const char* last = path.data() + path.size();
        if (path.starts_with(folder) &&
            std::from_chars(path.data() + folder.size(), last, number).ptr == last) {
            return number;
        }
    }
    return -1;
}

/// An open descriptor where `path` is to be written to as it stands; -1 where a file is to appear
/// there. Throws for what is neither.
int open_stream(const fs::path& path) {
    const int own = own_descriptor(path.string());
    int stream = -1;
    if (own >= 0) {
        stream = ::fcntl(own, F_DUPFD_CLOEXEC, 3);
    } else {
        struct stat facts {};
        if (::stat(path.c_str(), &facts) != 0 || S_ISREG(facts.st_mode)) {
            return -1;
        }
        if (S_ISDIR(facts.st_mode)) {
            fail(path, "write the file", EISDIR);
        }
        if (!S_ISFIFO(facts.st_mode) && !S_ISCHR(facts.st_mode)) {
            throw std::runtime_error(fmt::format(
                "{}: is a disk or a socket, which is left alone; name a file", path.string()));
        }
        stream = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
    }
    if (stream < 0) {
        fail(path, "open it for writing", errno);
    }
    return stream;
}

} // namespace

AtomicFile::AtomicFile(const fs::path& path) : target_(path), descriptor_(open_stream(path)) {
    stream_ = descriptor_ >= 0;
    if (stream_) {
        return;
    }
    std::error_code ignored;
    if (fs::is_symlink(path, ignored)) {
        const fs::path resolved = fs::weakly_canonical(path, ignored);
        target_ = resolved.empty() ? path : resolved;
    }
    if (path.filename().empty()) {
        fail(path, "write the file", EISDIR);
    }
    clean_once(folder_of(target_));
    tell_new_file(target_);
    temporary_ = temporary_beside(target_);
    slot_ = take_slot(temporary_.string());
    descriptor_ = create_locked(temporary_);
    if (descriptor_ < 0) {
        const int error = errno;
        free_slot(slot_);
        fail(target_, "create the file", error);
    }
}

AtomicFile::~AtomicFile() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
        if (!stream_) {
            ::unlink(temporary_.c_str());
        }
    }
    free_slot(slot_);
}

void AtomicFile::write(const void* bytes, std::size_t count) {
    const char* next = static_cast<const char*>(bytes);
    while (count > 0) {
        const ssize_t written = ::write(descriptor_, next, count);
        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            fail(target_, "write the file", errno);
        }
        next += written;
        count -= static_cast<std::size_t>(written);
        position_ += static_cast<std::uint64_t>(written);
    }
}

void AtomicFile::seek(std::uint64_t offset) {
    if (stream_) {
        throw std::runtime_error(
            fmt::format("{}: is a stream, and this is written in several places; name a file",
                        target_.string()));
    }
    if (::lseek(descriptor_, static_cast<off_t>(offset), SEEK_SET) < 0) {
        fail(target_, "move in the file", errno);
    }
    position_ = offset;
}

void AtomicFile::commit(OnDisk on_disk) {
    if (stream_) {
        const int status = ::close(descriptor_);
        descriptor_ = -1;
        if (status != 0) {
            fail(target_, "write the file", errno);
        }
        return;
    }
    // Filesystems may report a full disk only here.
    if (on_disk == OnDisk::at_commit && ::fsync(descriptor_) != 0) {
        fail(target_, "bring the file to the disk", errno);
    }
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
        fail(target_, "put the finished file in place", errno);
    }
    ::close(descriptor_);
    descriptor_ = -1;
    if (on_disk == OnDisk::later) {
        return;
    }
    sync_folder(folder_of(target_)); // the rename itself lives there
}

void sync_folder(const fs::path& folder) {
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
        (void)::fsync(descriptor); // some file systems cannot sync folders: not an error
        ::close(descriptor);
    }
}

void remove_abandoned_temporaries(const fs::path& folder) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
        if (!is_temporary(entry.path().filename().string()) ||
            entry.symlink_status(ignored).type() != fs::file_type::regular) {
            continue;
        }
        const int file = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (file >= 0 && ::flock(file, LOCK_EX | LOCK_NB) == 0) {
            ::unlink(entry.path().c_str());
        }
        if (file >= 0) {
            ::close(file);
        }
    }
}

void remove_own_temporaries() {
    for (const TemporarySlot& slot : slots) {
        if (slot.state == 2) {
            ::unlink(slot.path.data());
        }
    }
}

void bring_to_disk(const fs::path& folder) {
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int status = descriptor < 0 ? -1 : ::syncfs(descriptor);
    const int error = errno;
    if (descriptor >= 0) {
        ::close(descriptor);
    }
    if (status != 0) {
        fail(folder, "bring its files to the disk", error);
    }
}

void write_file_atomically(const fs::path& path, std::span<const std::uint8_t> bytes,
                           OnDisk on_disk) {
    AtomicFile file(path);
    file.write(bytes);
    file.commit(on_disk);
}

void write_file_atomically(const fs::path& path, std::string_view text) {
    write_file_atomically(path, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

} // namespace patchforge
