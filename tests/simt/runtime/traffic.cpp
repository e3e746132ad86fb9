#include "tests/simt/runtime/traffic.h"

#include "tests/simt/runtime/device_memory.h"

#include <algorithm>
#include <bit>

namespace simt {

std::vector<Traffic> count_traffic(const std::function<void()>& body) {
    if (!checked()) {
        throw std::logic_error("count_traffic: the kernels of this program do not report their "
                               "accesses; link those of build/simt-checked");
    }
    std::vector<Traffic> launches;
    const TrafficCounter counter(launches);
    body();
    return launches;
}

TrafficCounter::TrafficCounter(std::vector<Traffic>& launches)
    : launches_(launches), replaced_(checker) {
    checker = this;
}

TrafficCounter::~TrafficCounter() {
    checker = replaced_;
    for (const auto& [start, buffer] : buffers_) {
        if (buffer.written) {
            replaced_->written_by_host(start, buffer.bytes);
        }
    }
}

void TrafficCounter::launch_started(const LaunchGeometry& geometry) {
    launches_.push_back({geometry.name, geometry.declared_bytes, {}});
    shared_bytes_ = geometry.shared_bytes;
    blocks_take_turns_ = geometry.cooperative;
    ++launch_;
}

TrafficCounter::Buffer* TrafficCounter::buffer_of(const std::byte* address) {
    for (Buffer* buffer : recent_) {
        if (buffer && address >= buffer->start && address < buffer->start + buffer->bytes) {
            return buffer;
        }
    }
    const Allocation* allocation = allocation_of(address, 1);
    if (!allocation) {
        return nullptr;
    }
    Buffer& buffer = buffers_[allocation->start];
    if (!buffer.start) {
        buffer = {allocation->start, allocation->bytes,
                  std::vector<Line>((allocation->bytes + 63) / 64)};
    }
    std::copy_backward(recent_, std::end(recent_) - 1, std::end(recent_));
    recent_[0] = &buffer;
    return &buffer;
}

Traffic::Buffer& TrafficCounter::entry_of(Buffer& buffer) {
    auto& touched = launches_.back().buffers;
    if (buffer.launch != launch_) {
        buffer.launch = launch_;
        buffer.entry = touched.size();
        touched.push_back({buffer.start, buffer.bytes});
    }
    return touched[buffer.entry];
}

void TrafficCounter::access(Access kind, const void* pointer, std::size_t bytes, const void*) {
    const auto* address = static_cast<const std::byte*>(pointer);
    const std::byte* shared = executor.current().block->shared;
    if ((address >= shared && address < shared + shared_bytes_) ||
        executor.on_current_stack(pointer)) {
        return;
    }
    Buffer* const buffer = buffer_of(address);
    if (!buffer) {
        return; // the program's own constants
    }
    const bool writes = kind == Access::write || kind == Access::published_write;
    const bool changes = writes || kind == Access::atomic;
    Traffic::Buffer& count = entry_of(*buffer);
    buffer->written |= changes;
    const auto first = static_cast<std::size_t>(address - buffer->start);
    const std::size_t end = std::min(first + bytes, buffer->bytes);
    for (std::size_t at = first; at < end;) {
        const std::size_t next = std::min(at / 64 * 64 + 64, end);
        const std::uint64_t bits = ~std::uint64_t{0} >> (64 - (next - at)) << at % 64;
        Line& line = buffer->lines[at / 64];
        if (line.launch != launch_) {
            line = {};
            line.launch = launch_;
        }
        if (line.block != block_) {
            line.block = block_;
            line.block_read = line.block_written = 0;
        }
        // Adds the bytes that `seen` does not have yet.
        const auto add_new = [bits](std::uint64_t& total, std::uint64_t& seen) {
            total += static_cast<std::uint64_t>(std::popcount(bits & ~seen));
            seen |= bits;
        };
        std::uint64_t nothing = ~std::uint64_t{0};
        std::uint64_t& block_read = blocks_take_turns_ ? nothing : line.block_read;
        std::uint64_t& block_written = blocks_take_turns_ ? nothing : line.block_written;
        if (!writes) {
            add_new(count.read, line.known);
            add_new(count.by_blocks, block_read);
            count.by_threads += next - at;
        }
        if (changes) {
            line.known |= bits;
            add_new(count.written, line.written);
            add_new(count.by_blocks, block_written);
            count.by_threads += next - at;
        }
        at = next;
    }
}

void TrafficCounter::allocated(const void* pointer, std::size_t bytes) {
    replaced_->allocated(pointer, bytes);
}

void TrafficCounter::freed(const void* pointer) {
    buffers_.erase(static_cast<const std::byte*>(pointer));
    std::fill(std::begin(recent_), std::end(recent_), nullptr);
    replaced_->freed(pointer);
}

void TrafficCounter::written_by_host(const void* pointer, std::size_t bytes) {
    replaced_->written_by_host(pointer, bytes);
}

void TrafficCounter::copied(const void* to, const void* from, std::size_t bytes) {
    launches_.push_back(
        {"copy",
         2.0 * static_cast<double>(bytes),
         {{from, bytes, bytes, 0, bytes, bytes}, {to, bytes, 0, bytes, bytes, bytes}}});
    replaced_->copied(to, from, bytes);
}

} // namespace simt
