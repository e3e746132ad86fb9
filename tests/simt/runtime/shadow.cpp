#include "tests/simt/runtime/shadow.h"

#include "tests/simt/runtime/device_memory.h"
#include "tests/simt/runtime/symbols.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

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

std::uint32_t place_in_program(const void* pc) {
    return static_cast<std::uint32_t>(static_cast<const char*>(pc) - &__executable_start);
}

// Calls body(word, its bytes as bits) for the words of [offset, offset + bytes).
template <class Body>
[[gnu::always_inline]] inline void for_words(std::size_t offset, std::size_t bytes, Body body) {
    const std::size_t end = offset + bytes;
    for (std::size_t i = offset; i < end;) {
        const std::size_t word = i / 4;
        const std::size_t last = std::min(word * 4 + 4, end);
        body(word, static_cast<std::uint8_t>((1u << (last - word * 4)) - (1u << (i - word * 4))));
        i = last;
    }
}

// The first byte of the word that is asked for and was not written.
std::size_t first_unwritten(std::size_t word, std::uint8_t asked, std::uint8_t written) {
    return word * 4 + static_cast<std::size_t>(std::countr_zero<unsigned>(asked & ~written));
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
    shadow.written.assign((shared_bytes_ + 3) / 4, 0);
    const dim3& grid = executor.geometry().grid;
    shadow.index = (block.index.z * grid.y + block.index.y) * grid.x + block.index.x;
    ++shadow.epoch;
    shadow.clock.assign(threads, 1);
    if (shadow.joined || shadow.seen.size() != threads * threads) {
        shadow.seen.assign(threads * threads, 0);
    }
    shadow.joined = shadow.joined_across_warps = false;
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
    shadow.joined = true;
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
    if (executor.on_current_stack(pointer)) {
        return;
    }
    const auto* address = static_cast<const std::byte*>(pointer);
    BlockShadow& block = blocks_[executor.current().block->slot];
    if (address >= block.shared && address < block.shared + shared_bytes_) {
        access_shared(block, kind, static_cast<std::size_t>(address - block.shared), bytes, pc);
    } else if (Buffer* buffer = buffer_of(address)) {
        access_buffer(*buffer, kind, static_cast<std::size_t>(address - buffer->start), bytes, pc);
    } else if (bytes > 0 && !in_program(pointer)) {
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
    const unsigned thread = executor.current().index;
    Past now{block.epoch,
             block.clock[thread],
             place_in_program(pc),
             static_cast<std::uint16_t>(thread),
             kind,
             0};
    for_words(offset, bytes, [&](std::size_t word, std::uint8_t touched) {
        std::uint8_t& written = block.written[word];
        if (kind == Access::write || kind == Access::published_write) {
            written |= touched;
        } else if (kind != Access::copy && (touched & ~written)) {
            executor.fail_access(
                Finding::unwritten_read, pc,
                fmt::format("{} byte {} of shared memory, which nobody in this block has "
                            "written; write it and synchronise first",
                            name_of(kind), first_unwritten(word, touched, written)));
        }
        now.bytes = touched;
        access_word(block, block.words[word], now);
    });
}

// Whether the access of `thread` at (epoch, clock) comes before what `now_thread` does now.
inline bool Shadow::ordered(const BlockShadow& block, std::uint32_t epoch, std::uint32_t clock,
                            unsigned thread, unsigned now_thread) {
    // A thread's present clock is one that nobody else has seen: that spares the table of what
    // everybody has seen, which does not fit into the cache.
    return epoch < block.epoch || thread == now_thread ||
           (clock != block.clock[thread] &&
            clock <= block.seen[now_thread * block.clock.size() + thread]);
}

void Shadow::access_word(const BlockShadow& block, Word& word, const Past& now) {
    const bool reads = now.kind == Access::read;
    Past* place = nullptr;   // forgotten for the present access
    Past* another = nullptr; // of other reads, which are many; one may go
    for (Past& past : word.past) {
        if (past.epoch < now.epoch) {
            place = &past;
            continue;
        }
        const bool past_reads = past.kind == Access::read;
        const bool in_order = ordered(block, past.epoch, past.clock, past.thread, now.thread);
        const bool both_atomic = past.kind == Access::atomic && now.kind == Access::atomic;
        if (!in_order && (past.bytes & now.bytes) && !(reads && past_reads) && !both_atomic) {
            executor.fail_access(
                Finding::race, &__executable_start + now.pc,
                fmt::format("{} a word of shared memory at byte {} that thread {} {} at "
                            "{}, with no barrier between; add one",
                            name_of(now.kind), (&word - block.words.data()) * 4, past.thread,
                            name_of(past.kind), source_of(&__executable_start + past.pc)));
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
    const bool races = kind == Access::read || kind == Access::write;
    const Thread& thread = executor.current();
    const BlockShadow& block = blocks_[thread.block->slot];
    BufferRaces::Record now{pc,
                            block.index,
                            block.epoch,
                            block.clock[thread.index],
                            races_.synchronisations(),
                            static_cast<std::uint16_t>(thread.index),
                            0};
    for_words(offset, bytes, [&](std::size_t word, std::uint8_t touched) {
        std::uint8_t& written = buffer.written[word];
        if (writes) {
            written |= touched;
        } else if (touched & ~written) {
            executor.fail_access(
                Finding::unwritten_read, pc,
                fmt::format("{} byte {} of an allocation of {} bytes, which nobody has "
                            "written; fill it first",
                            name_of(kind), first_unwritten(word, touched, written), buffer.bytes));
        }
        if (races) {
            now.bytes = touched;
            access_buffer_word(buffer, word, writes, block, now);
        }
    });
    if (!races) {
        races_.synchronised();
    }
}

void Shadow::access_buffer_word(Buffer& buffer, std::size_t index, bool writes,
                                const BlockShadow& block, const BufferRaces::Record& now) {
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
    const std::size_t words = (bytes + 3) / 4;
    buffers_[start] = {start, bytes, std::vector<std::uint8_t>(words),
                       std::vector<BufferRaces::Word>(words)};
}

void Shadow::freed(const void* pointer) {
    buffers_.erase(static_cast<const std::byte*>(pointer));
    recent_[0] = recent_[1] = nullptr;
}

void Shadow::written_by_host(const void* pointer, std::size_t bytes) {
    const auto* address = static_cast<const std::byte*>(pointer);
    if (Buffer* buffer = buffer_of(address)) {
        for_words(
            static_cast<std::size_t>(address - buffer->start), bytes,
            [&](std::size_t word, std::uint8_t touched) { buffer->written[word] |= touched; });
    }
}

void Shadow::copied(const void* to, const void*, std::size_t bytes) {
    written_by_host(to, bytes);
}

} // namespace simt
