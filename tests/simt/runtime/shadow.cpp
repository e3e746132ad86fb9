#include "tests/simt/runtime/shadow.h"

#include "tests/simt/runtime/device_memory.h"
#include "tests/simt/runtime/symbols.h"

#include <fmt/format.h>

#include <algorithm>

// The bounds of the program's own code, constants and globals (from the linker).
extern "C" const char __executable_start, _end;

namespace simt {

namespace {

const char* name_of(Checker::Access kind) {
    switch (kind) {
    case Checker::Access::read:
        return "reads";
    case Checker::Access::write:
        return "writes";
    case Checker::Access::atomic:
        return "changes atomically";
    case Checker::Access::copy:
        return "copies asynchronously to";
    case Checker::Access::fresh_read:
        return "reads";
    case Checker::Access::published_write:
        return "writes";
    }
    return "?";
}

bool in_program(const void* pointer) {
    return pointer >= &__executable_start && pointer < &_end;
}

} // namespace

void Shadow::launch_started(const LaunchGeometry& geometry) {
    shared_bytes_ = geometry.shared_bytes;
    races_.launch_started();
}

void Shadow::block_started(Block& block) {
    if (blocks_.size() <= block.slot) {
        blocks_.resize(block.slot + 1);
    }
    BlockShadow& shadow = blocks_[block.slot];
    const std::size_t threads = block.threads.size();
    shadow.shared = block.shared;
    shadow.words.resize(std::max(shadow.words.size(), (shared_bytes_ + 3) / 4));
    shadow.written.assign(shared_bytes_, false);
    ++shadow.epoch;
    shadow.clock.assign(threads, 1);
    shadow.seen.assign(threads * threads, 0);
    shadow.joined_across_warps = false;
}

void Shadow::block_barrier(Block& block) {
    BlockShadow& shadow = blocks_[block.slot];
    ++shadow.epoch;
    // What was seen of earlier epochs does no harm: clocks only grow.
    shadow.joined_across_warps = false;
}

void Shadow::grid_barrier() {
    races_.synchronised();
}

void Shadow::joined(const std::vector<Thread*>& threads) {
    const Thread& any = *threads.front();
    BlockShadow& shadow = blocks_[any.block->slot];
    const std::size_t count = shadow.clock.size();
    const auto warp = any.index / 32;
    for (const Thread* thread : threads) {
        shadow.joined_across_warps |= thread->index / 32 != warp;
    }
    // Until warps have met in this epoch, a thread knows nothing of other warps.
    const std::size_t first = shadow.joined_across_warps ? 0 : warp * 32;
    const std::size_t last = shadow.joined_across_warps ? count : first + 32;
    std::vector<std::uint32_t> together(last - first, 0);
    for (const Thread* thread : threads) {
        const auto* seen = &shadow.seen[thread->index * count];
        for (std::size_t i = first; i < last; ++i) {
            together[i - first] = std::max(together[i - first], seen[i]);
        }
        together[thread->index - first] = shadow.clock[thread->index];
    }
    for (const Thread* thread : threads) {
        std::copy(together.begin(), together.end(), &shadow.seen[thread->index * count + first]);
        ++shadow.clock[thread->index];
    }
}

void Shadow::access(Access kind, const void* pointer, std::size_t bytes, const void* pc) {
    const auto* address = static_cast<const std::byte*>(pointer);
    BlockShadow& block = blocks_[executor.current().block->slot];
    if (address >= block.shared && address < block.shared + shared_bytes_) {
        access_shared(block, kind, static_cast<std::size_t>(address - block.shared), bytes, pc);
    } else if (Buffer* buffer = buffer_of(address)) {
        access_buffer(*buffer, kind, static_cast<std::size_t>(address - buffer->start), bytes, pc);
    } else if (bytes > 0 && !executor.on_current_stack(pointer) && !in_program(pointer)) {
        std::string where = "no buffer is near";
        const std::ptrdiff_t offset = address - block.shared;
        if (const auto length = static_cast<std::ptrdiff_t>(shared_bytes_);
            offset > -4096 && offset < length + 4096) {
            where = fmt::format("byte {} of {} bytes of shared memory", offset, length);
        } else if (const Allocation* nearest = nearest_allocation(pointer)) {
            where = fmt::format("byte {} of an allocation of {} bytes", address - nearest->start,
                                nearest->bytes);
        }
        executor.fail_access(
            Finding::out_of_bounds, pc,
            fmt::format("{} {} bytes outside every buffer ({}); keep every index below "
                        "the size",
                        name_of(kind), bytes, where));
    }
}

void Shadow::access_shared(BlockShadow& block, Access kind, std::size_t offset, std::size_t bytes,
                           const void* pc) {
    if (offset + bytes > shared_bytes_) {
        executor.fail_access(Finding::out_of_bounds, pc,
                             fmt::format("{} bytes {} to {} of {} bytes of shared memory",
                                         name_of(kind), offset, offset + bytes - 1, shared_bytes_));
    }
    for (std::size_t i = offset; i < offset + bytes; ++i) {
        if (kind == Access::write || kind == Access::published_write) {
            block.written[i] = true;
        } else if (kind != Access::copy && !block.written[i]) {
            executor.fail_access(
                Finding::unwritten_read, pc,
                fmt::format("{} byte {} of shared memory, which nobody in this block has "
                            "written; write it and synchronise first",
                            name_of(kind), i));
        }
    }
    const unsigned thread = executor.current().index;
    Past now{block.epoch, block.clock[thread], static_cast<std::uint16_t>(thread), kind, 0, pc};
    for (std::size_t i = offset; i < offset + bytes;) {
        const std::size_t word = i / 4;
        now.bytes = 0;
        for (; i < offset + bytes && i / 4 == word; ++i) {
            now.bytes |= static_cast<std::uint8_t>(1u << (i % 4));
        }
        access_word(block, block.words[word], now);
    }
}

// Whether the access of `thread` at (epoch, clock) comes before what `now_thread` does now.
bool Shadow::ordered(const BlockShadow& block, std::uint32_t epoch, std::uint32_t clock,
                     unsigned thread, unsigned now_thread) const {
    return epoch < block.epoch || thread == now_thread ||
           clock <= block.seen[now_thread * block.clock.size() + thread];
}

void Shadow::access_word(BlockShadow& block, Word& word, const Past& now) {
    const bool reads = now.kind == Access::read;
    Past* place = nullptr;   // forgotten for the present access
    Past* another = nullptr; // of other reads, which are many; one may go
    for (Past& past : word.past) {
        if (past.epoch == 0 || past.epoch < now.epoch) {
            place = &past;
            continue;
        }
        const bool past_reads = past.kind == Access::read;
        const bool in_order = ordered(block, past.epoch, past.clock, past.thread, now.thread);
        const bool both_atomic = past.kind == Access::atomic && now.kind == Access::atomic;
        if (!in_order && (past.bytes & now.bytes) && !(reads && past_reads) && !both_atomic) {
            executor.fail_access(
                Finding::race, now.pc,
                fmt::format("{} a word of shared memory at byte {} that thread {} {} at "
                            "{}, with no barrier between; add one",
                            name_of(now.kind), (&word - block.words.data()) * 4, past.thread,
                            name_of(past.kind), source_of(past.pc)));
        }
        // Whoever races with the past access would also race with this one.
        if (in_order && (past.bytes & ~now.bytes) == 0 && (!reads || past_reads)) {
            place = &past;
        } else if (past_reads) {
            another = &past;
        }
    }
    place = place ? place : another ? another : &word.past[now.thread % 4];
    *place = now;
}

Shadow::Buffer* Shadow::buffer_of(const std::byte* address) {
    for (Buffer* buffer : recent_) {
        if (buffer && address >= buffer->start && address < buffer->start + buffer->bytes) {
            return buffer;
        }
    }
    auto after = buffers_.upper_bound(address);
    if (after == buffers_.begin()) {
        return nullptr;
    }
    Buffer& buffer = std::prev(after)->second;
    if (address >= buffer.start + buffer.bytes) {
        return nullptr;
    }
    recent_[1] = recent_[0];
    recent_[0] = &buffer;
    return &buffer;
}

void Shadow::access_buffer(Buffer& buffer, Access kind, std::size_t offset, std::size_t bytes,
                           const void* pc) {
    if (executor.geometry().overlaps && !executor.current().begun) {
        executor.fail_access(Finding::overlap, pc,
                             fmt::format("{} device memory before begin_kernel(), while the kernel "
                                         "before may still change it; make that the kernel's "
                                         "first statement",
                                         name_of(kind)));
    }
    if (offset + bytes > buffer.bytes) {
        executor.fail_access(Finding::out_of_bounds, pc,
                             fmt::format("{} bytes {} to {} of an allocation of {} bytes",
                                         name_of(kind), offset, offset + bytes - 1, buffer.bytes));
    }
    const bool writes = kind == Access::write || kind == Access::published_write;
    for (std::size_t i = offset; i < offset + bytes; ++i) {
        if (writes) {
            buffer.written[i] = true;
        } else if (!buffer.written[i]) {
            executor.fail_access(
                Finding::unwritten_read, pc,
                fmt::format("{} byte {} of an allocation of {} bytes, which nobody has "
                            "written; fill it first",
                            name_of(kind), i, buffer.bytes));
        }
    }
    if (kind != Access::read && kind != Access::write) {
        races_.synchronised();
        return;
    }
    const Thread& thread = executor.current();
    const BlockShadow& block = blocks_[thread.block->slot];
    const uint3& index = thread.block->index;
    const dim3& grid = executor.geometry().grid;
    BufferRaces::Record now{pc,
                            (index.z * grid.y + index.y) * grid.x + index.x,
                            block.epoch,
                            block.clock[thread.index],
                            races_.synchronisations(),
                            static_cast<std::uint16_t>(thread.index),
                            0};
    for (std::size_t i = offset; i < offset + bytes;) {
        const std::size_t word = i / 4;
        now.bytes = 0;
        for (; i < offset + bytes && i / 4 == word; ++i) {
            now.bytes |= static_cast<std::uint8_t>(1u << (i % 4));
        }
        access_buffer_word(buffer, word, writes, now);
    }
}

void Shadow::access_buffer_word(Buffer& buffer, std::size_t index, bool writes,
                                const BufferRaces::Record& now) {
    const BlockShadow& block = blocks_[executor.current().block->slot];
    BufferRaces::Word& word = buffer.words[index];
    const auto check = [&](std::uint32_t place, const char* what) {
        const BufferRaces::Record* past = races_.at(place);
        if (!past || !(past->bytes & now.bytes) || past->synchronisations != now.synchronisations ||
            (past->block == now.block &&
             ordered(block, past->epoch, past->clock, past->thread, now.thread))) {
            return;
        }
        executor.fail_access(
            Finding::race, now.pc,
            fmt::format("{} a word at byte {} of an allocation of {} bytes that thread {} of "
                        "{} {} at {}, with nothing to order them; let one thread own each word, "
                        "or synchronise",
                        writes ? "writes" : "reads", index * 4, buffer.bytes, past->thread,
                        past->block == now.block ? "this block"
                                                 : fmt::format("block {}", past->block),
                        what, source_of(past->pc)));
    };
    check(word.write, "writes");
    if (writes) {
        check(word.reads[0], "reads");
        check(word.reads[1], "reads");
        word.write = races_.place_of(now);
        return;
    }
    const BufferRaces::Record* last = races_.at(word.reads[0]);
    if (last && (last->thread != now.thread || last->block != now.block)) {
        word.reads[1] = word.reads[0];
    }
    word.reads[0] = races_.place_of(now);
}

void Shadow::allocated(const void* pointer, std::size_t bytes) {
    const auto* start = static_cast<const std::byte*>(pointer);
    buffers_[start] = {start, bytes, std::vector<bool>(bytes, false),
                       std::vector<BufferRaces::Word>((bytes + 3) / 4)};
}

void Shadow::freed(const void* pointer) {
    buffers_.erase(static_cast<const std::byte*>(pointer));
    recent_[0] = recent_[1] = nullptr;
}

void Shadow::written_by_host(const void* pointer, std::size_t bytes) {
    const auto* address = static_cast<const std::byte*>(pointer);
    if (Buffer* buffer = buffer_of(address)) {
        const auto offset = address - buffer->start;
        std::fill_n(buffer->written.begin() + offset, bytes, true);
    }
}

void Shadow::copied(const void* to, const void*, std::size_t bytes) {
    written_by_host(to, bytes);
}

} // namespace simt
