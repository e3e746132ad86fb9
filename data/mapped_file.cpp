#include "data/mapped_file.h"

#include "data/read_bytes.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace patchforge {

namespace {

/// What the handler may read: it runs between any two instructions, so no lock and no string.
struct Guard {
    std::atomic<std::uintptr_t> begin{0}; // 0: free
    std::uintptr_t end = 0;
    std::array<char, 1024> line{};
    std::size_t length = 0;
};
std::array<Guard, 64> guards; // a command maps a handful of files
std::mutex guards_mutex;

void on_bus_error(int signal, siginfo_t* facts, void*) {
    const auto address = reinterpret_cast<std::uintptr_t>(facts->si_addr);
    for (const Guard& guard : guards) {
        const std::uintptr_t begin = guard.begin.load();
        if (begin != 0 && address >= begin && address < guard.end) {
            (void)!::write(STDERR_FILENO, guard.line.data(), guard.length);
            ::_exit(1);
        }
    }
    std::signal(signal, SIG_DFL); // not ours: the instruction runs again and ends the process
}

void install_handler() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action {};
        action.sa_sigaction = on_bus_error;
        action.sa_flags = SA_SIGINFO;
        ::sigaction(SIGBUS, &action, nullptr);
    });
}

Guard* watch(std::span<const std::uint8_t> bytes, const std::filesystem::path& shown) {
    install_handler();
    const std::lock_guard lock(guards_mutex);
    for (Guard& guard : guards) {
        if (guard.begin.load() == 0) {
            const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
            guard.end = begin + bytes.size();
            const std::string line = fmt::format(
                "patchforge: error: {}: became shorter while it was read, or its disk failed; "
                "bring the file back and run the command again\n",
                shown.string());
            guard.length = line.copy(guard.line.data(), guard.line.size());
            guard.begin.store(begin);
            return &guard;
        }
    }
    return nullptr;
}

} // namespace

MappedFile::MappedFile(const std::filesystem::path& path, const std::filesystem::path& shown) {
    const std::filesystem::path& name = shown.empty() ? path : shown;
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat facts {};
    if (file < 0 || ::fstat(file, &facts) != 0) {
        const int error = errno;
        if (file >= 0) {
            ::close(file);
        }
        throw FileError(name, fmt::format("cannot open: {}", std::strerror(error)),
                        "check the path and permissions");
    }
    if (!S_ISREG(facts.st_mode)) {
        ::close(file);
        throw FileError(name, "not a regular file", "give the path of a file");
    }
    size_ = static_cast<std::size_t>(facts.st_size);
    if (size_ == 0) {
        ::close(file);
        return;
    }
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0);
    const int error = errno;
    ::close(file);
    if (address == MAP_FAILED) {
        throw FileError(name, fmt::format("cannot map the file: {}", std::strerror(error)),
                        "check the limits on memory");
    }
    bytes_ = static_cast<const std::uint8_t*>(address);
    guard_ = watch(bytes(), name);
}

MappedFile::~MappedFile() {
    if (guard_) {
        static_cast<Guard*>(guard_)->begin.store(0);
    }
    if (bytes_) {
        ::munmap(const_cast<std::uint8_t*>(bytes_), size_);
    }
}

} // namespace patchforge
