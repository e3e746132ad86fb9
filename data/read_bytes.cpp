#include "data/read_bytes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace patchforge {

namespace {

/// A regular file, open for reading.
class InputFile {
  public:
    explicit InputFile(const std::filesystem::path& path)
        : path_(path),
          // O_NONBLOCK: opening a named pipe must not wait for a writer.
          descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
        struct stat facts {};
        if (descriptor_ < 0 || ::fstat(descriptor_, &facts) != 0) {
            fail(fmt::format("cannot open: {}", std::strerror(errno)),
                 "check the path and permissions");
        }
        if (!S_ISREG(facts.st_mode)) {
            fail("not a regular file", "give the path of a file");
        }
        size_ = static_cast<std::uint64_t>(facts.st_size);
    }
    ~InputFile() { close(); }
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;

    std::uint64_t size() const { return size_; }

    void read(std::vector<std::uint8_t>& bytes, std::size_t count) {
        bytes.resize(count);
        std::size_t filled = 0;
        while (filled < count) {
            const ssize_t got = ::read(descriptor_, bytes.data() + filled, count - filled);
            if (got < 0 && errno == EINTR) {
                continue;
            }
            if (got < 0) {
                fail(fmt::format("cannot read: {}", std::strerror(errno)), "check the disk");
            }
            if (got == 0) { // it shrank meanwhile
                break;
            }
            filled += static_cast<std::size_t>(got);
        }
        bytes.resize(filled);
    }

    [[noreturn]] void fail(const std::string& reason, const std::string& advice) {
        close(); // a constructor that throws has no destructor
        throw FileError(path_, reason, advice);
    }

  private:
    void close() {
        if (descriptor_ >= 0) {
            ::close(descriptor_);
        }
        descriptor_ = -1;
    }

    const std::filesystem::path& path_;
    int descriptor_;
    std::uint64_t size_ = 0;
};

} // namespace

FileError::FileError(const std::filesystem::path& path, const std::string& reason,
                     const std::string& advice)
    : std::runtime_error(fmt::format("{}: {}; {}", path.string(), reason, advice)),
      reason_(reason) {}

void read_bytes(const std::filesystem::path& path, std::uint64_t limit,
                std::vector<std::uint8_t>& bytes) {
    InputFile file(path);
    if (file.size() > limit) {
        file.fail(fmt::format("{} bytes, at most {} are read", file.size(), limit),
                  "check that it is the file you mean");
    }
    file.read(bytes, file.size());
}

std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path, std::uint64_t limit) {
    std::vector<std::uint8_t> bytes;
    read_bytes(path, limit, bytes);
    return bytes;
}

void read_head(const std::filesystem::path& path, std::size_t count,
               std::vector<std::uint8_t>& bytes) {
    InputFile file(path);
    file.read(bytes, std::min<std::uint64_t>(count, file.size()));
}

} // namespace patchforge
