// Counts what kernels do to device memory, where Shadow judges it. Takes the place of the installed
// checker for as long as it lives, and keeps that one informed of memory that comes and goes.
#pragma once

#include "tests/simt/runtime/checker.h"

#include <map>
#include <vector>

namespace simt {

class TrafficCounter : public Checker {
  public:
    explicit TrafficCounter(std::vector<Traffic>& launches);
    ~TrafficCounter() override;
    TrafficCounter(const TrafficCounter&) = delete;
    TrafficCounter& operator=(const TrafficCounter&) = delete;

    void launch_started(const LaunchGeometry& geometry) override;
    void launch_ended() override {}
    void block_started(Block&) override { ++block_; }
    void block_barrier(Block&) override {}
    void grid_barrier() override {}
    void joined(const std::vector<Thread*>&) override {}
    void access(Access kind, const void* pointer, std::size_t bytes, const void* pc) override;
    void allocated(const void* pointer, std::size_t bytes) override;
    void freed(const void* pointer) override;
    void written_by_host(const void* pointer, std::size_t bytes) override;
    void copied(const void* to, const void* from, std::size_t bytes) override;

  private:
    // 64 bytes of a buffer, a bit each.
    struct Line {
        std::uint64_t known = 0, written = 0;            // read or written by this launch; written
        std::uint64_t block_read = 0, block_written = 0; // by this block
        std::uint32_t launch = 0, block = 0;             // whose bits these are
    };
    struct Buffer {
        const std::byte* start = nullptr;
        std::size_t bytes = 0;
        std::vector<Line> lines;
        std::uint32_t launch = 0; // that touched it last
        std::size_t entry = 0;    // among the buffers of that launch
        bool written = false;
    };
    Buffer* buffer_of(const std::byte* address);
    Traffic::Buffer& entry_of(Buffer& buffer);

    std::vector<Traffic>& launches_;
    Checker* const replaced_;
    std::map<const std::byte*, Buffer> buffers_;
    Buffer* recent_[4] = {};
    std::size_t shared_bytes_ = 0;
    bool blocks_take_turns_ = false;
    std::uint32_t launch_ = 0;
    std::uint32_t block_ = 0;
};

} // namespace simt
