#include "data/read_bytes.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

namespace patchforge {

namespace {

struct Descriptor {
    int value;
    ~Descriptor() {
        if (value >= 0) {
            ::close(value);
        }
    }
};

} // namespace

void read_bytes(const std::filesystem::path& path, std::uint64_t limit,
                std::vector<std::uint8_t>& bytes) {
    // O_NONBLOCK: opening a named pipe must not wait for a writer.
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat facts {};
    if (file.value < 0 || ::fstat(file.value, &facts) != 0) {
        throw std::runtime_error(fmt::format("{}: cannot open: {}; check the path and permissions",
                                             path.string(), std::strerror(errno)));
    }
    if (!S_ISREG(facts.st_mode)) {
        throw std::runtime_error(
            fmt::format("{}: not a regular file; give the path of a file", path.string()));
    }
    const auto size = static_cast<std::uint64_t>(facts.st_size);
    if (size > limit) {
        throw std::runtime_error(fmt::format("{}: {} bytes, at most {} are read; check that it is "
                                             "the file you mean",
                                             path.string(), size, limit));
    }
    bytes.resize(size);
    std::size_t filled = 0;
    while (filled < bytes.size()) {
        const ssize_t got = ::read(file.value, bytes.data() + filled, bytes.size() - filled);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            throw std::runtime_error(fmt::format("{}: cannot read: {}; check the disk",
                                                 path.string(), std::strerror(errno)));
        }
        if (got == 0) { // it shrank meanwhile
            bytes.resize(filled);
            break;
        }
        filled += static_cast<std::size_t>(got);
    }
}

std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path, std::uint64_t limit) {
    std::vector<std::uint8_t> bytes;
    read_bytes(path, limit, bytes);
    return bytes;
}

} // namespace patchforge
