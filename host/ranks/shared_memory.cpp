#include "host/ranks/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <system_error>

namespace patchforge {

struct SharedMemory::Header {
    // Who opens another process's memory by its number finds this there, or it was another machine's number.
    std::uint64_t token;
    std::atomic<std::uint32_t> arrived;
    std::atomic<std::uint32_t> meetings;
};

namespace {

constexpr std::size_t page = 4096;

// What rank 0 tells the others.
struct Invitation {
    std::int64_t process = 0;
    std::int64_t file = -1; // -1: there is none
    std::uint64_t token = 0;
};

template <class T>
std::span<const std::byte> message_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

template <class T>
T value_of(const std::vector<std::byte>& bytes) {
    T value{};
    std::memcpy(&value, bytes.data(), std::min(sizeof(T), bytes.size()));
    return value;
}

std::byte* mapped(int file, std::size_t bytes) {
    void* const memory =
        file < 0 ? MAP_FAILED : ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<std::byte*>(memory);
}

// Whether all ranks say yes, on every rank.
bool all_agree(Ranks& ranks, bool own) {
    if (ranks.rank() > 0) {
        send_now(ranks, message_of(own), 0, Tag::gather);
        return value_of<bool>(receive_now(ranks, 0, Tag::command));
    }
    for (int rank = 1; rank < ranks.size(); ++rank) {
        own = value_of<bool>(receive_now(ranks, rank, Tag::gather)) && own;
    }
    for (int rank = 1; rank < ranks.size(); ++rank) {
        send_now(ranks, message_of(own), rank, Tag::command);
    }
    return own;
}

} // namespace

std::size_t SharedMemory::whole_pages(std::size_t bytes) {
    return (bytes + page - 1) / page * page;
}

std::unique_ptr<SharedMemory> SharedMemory::make(Ranks* ranks, std::size_t bytes) {
    bytes = page + whole_pages(bytes);
    if (!ranks || ranks->size() == 1) {
        void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            return nullptr;
        }
        return std::unique_ptr<SharedMemory>(
            new SharedMemory(nullptr, -1, static_cast<std::byte*>(memory), bytes));
    }
    if (!ranks->one_machine()) {
        return nullptr;
    }
    Invitation invitation;
    int file = -1;
    if (ranks->rank() == 0) {
        std::random_device random;
        invitation.token = std::uint64_t{random()} << 32 | random();
        file = ::memfd_create("patchforge", MFD_CLOEXEC);
        if (file >= 0 && ::ftruncate(file, static_cast<off_t>(bytes)) == 0) {
            invitation.process = ::getpid();
            invitation.file = file;
        }
    } else {
        invitation = value_of<Invitation>(receive_now(*ranks, 0, Tag::command));
        const std::string path = "/proc/" + std::to_string(invitation.process) + "/fd/" +
                                 std::to_string(invitation.file);
        file = invitation.file < 0 ? -1 : ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    }
    std::unique_ptr<SharedMemory> memory(new SharedMemory(ranks, file, mapped(file, bytes), bytes));
    if (ranks->rank() == 0) {
        if (memory->mapping_) {
            memory->header().token = invitation.token;
        }
        for (int rank = 1; rank < ranks->size(); ++rank) {
            send_now(*ranks, message_of(invitation), rank, Tag::command);
        }
    }
    const bool found =
        invitation.file >= 0 && memory->mapping_ && memory->header().token == invitation.token;
    return all_agree(*ranks, found) ? std::move(memory) : nullptr;
}

SharedMemory::~SharedMemory() {
    if (mapping_) {
        ::munmap(mapping_, bytes_);
    }
    if (file_ >= 0) {
        ::close(file_);
    }
}

SharedMemory::Header& SharedMemory::header() const {
    return *reinterpret_cast<Header*>(mapping_);
}

std::byte* SharedMemory::data() const {
    return mapping_ + page;
}

void SharedMemory::replace(void* memory, std::size_t bytes, std::size_t first) {
    if (!ranks_) {
        return;
    }
    if (ranks_->rank() == 0) {
        std::memcpy(data() + first, memory, bytes);
    }
    meet();
    if (::mmap(memory, whole_pages(bytes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_,
               static_cast<off_t>(page + first)) == MAP_FAILED) {
        throw std::system_error(errno, std::generic_category(), "memory shared by ranks");
    }
}

void SharedMemory::meet() {
    if (!ranks_) {
        return;
    }
    Header& here = header();
    const std::uint32_t meeting = here.meetings.load(std::memory_order_acquire);
    if (here.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 ==
        static_cast<std::uint32_t>(ranks_->size())) {
        here.arrived.store(0, std::memory_order_relaxed);
        here.meetings.store(meeting + 1, std::memory_order_release);
        return;
    }
    RankWait wait(*ranks_);
    for (int asked = 0; here.meetings.load(std::memory_order_acquire) == meeting; ++asked) {
        wait.pause(asked < 1000 ? 0 : 50); // who waits long leaves the core to others
    }
}

} // namespace patchforge
