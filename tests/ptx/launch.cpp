#include "tests/ptx/launch.h"

#include "tests/ptx/report.h"
#include "tests/simt/runtime/executor.h"
#include "tests/simt/runtime/poison.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace ptx {

namespace {

// Rounds in which every warp only sleeps that are taken for a deadlock.
constexpr unsigned idle_rounds = 2000;
// A warp that has run so many instructions does not end.
constexpr std::uint64_t most_instructions = std::uint64_t{1} << 28;

constexpr std::size_t alignment = 128;

std::byte* aligned(std::byte* start) {
    const auto address = reinterpret_cast<std::uintptr_t>(start);
    return start + (alignment - address % alignment) % alignment;
}

std::uint32_t value_of(const Block& block, Special which, unsigned thread) {
    const simt::LaunchGeometry& geometry = block.launch->geometry;
    switch (which) {
    case Special::thread_x:
        return thread;
    case Special::block_x:
        return block.index.x;
    case Special::block_y:
        return block.index.y;
    case Special::block_z:
        return block.index.z;
    case Special::threads_x:
        return geometry.block;
    case Special::blocks_x:
        return geometry.grid.x;
    case Special::blocks_y:
        return geometry.grid.y;
    case Special::blocks_z:
        return geometry.grid.z;
    }
    return 0;
}

void start_block(Block& block, Launch& launch, unsigned number) {
    const Kernel& kernel = *launch.kernel;
    const dim3 grid = launch.geometry.grid;
    block.launch = &launch;
    block.index = {number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y};
    block.votes = 0;
    block.shared_bytes = launch.geometry.shared_bytes;
    block.storage.resize(block.shared_bytes + alignment);
    block.shared = aligned(block.storage.data());
    simt::poison(block.shared, block.shared_bytes);
    const unsigned warps = launch.geometry.block / lanes;
    const std::size_t each = (kernel.register_bytes + alignment - 1) / alignment * alignment;
    block.registers.resize(warps * each + alignment);
    std::byte* registers = aligned(block.registers.data());
    simt::poison(registers, warps * each);
    block.warps.resize(warps);
    for (unsigned n = 0; n < warps; ++n) {
        Warp& warp = block.warps[n];
        warp = Warp{};
        warp.block = &block;
        warp.index = n;
        warp.base[0] = registers + n * each;
        warp.base[1] = const_cast<std::byte*>(kernel.constants.data()); // nothing writes a constant
        for (const auto& [which, place] : kernel.specials) {
            for (unsigned lane = 0; lane < lanes; ++lane) {
                warp.at<std::uint32_t>(place)[lane] = value_of(block, which, lanes * n + lane);
            }
        }
    }
}

void go_on(Warp& warp) {
    const Instruction* code = warp.block->launch->kernel->code.data();
    std::uint64_t executed = 0;
    warp.state = Warp::State::runs;
    while (warp.state == Warp::State::runs) {
        const Instruction& instruction = code[warp.pc++];
        instruction.run(warp, instruction);
        if (++executed == most_instructions) {
            fail(warp, instruction, simt::Finding::deadlock, warp.active,
                 fmt::format("still running after {} instructions", executed));
        }
    }
    warp.block->launch->executed += executed;
}

// All warps that have not ended wait: they go on if it is for the same barrier.
bool release(Block& block) {
    const Warp* first = nullptr;
    for (const Warp& warp : block.warps) {
        if (warp.state == Warp::State::ended) {
            continue;
        }
        if (warp.state != Warp::State::at_barrier) {
            return false;
        }
        first = first ? first : &warp;
        const Instruction& here = *warp.barrier;
        if (here.run != first->barrier->run || here.number != first->barrier->number) {
            fail(warp, here, simt::Finding::divergent_barrier, warp.active,
                 fmt::format("warp {} waits at another barrier: {}", first->index,
                             ptx_line(*block.launch->kernel, *first->barrier)));
        }
    }
    if (!first) {
        return false;
    }
    const bool voted =
        block.launch->kernel->entry->statements[first->barrier->statement].opcode.starts_with(
            "bar.red");
    for (Warp& warp : block.warps) {
        if (warp.state == Warp::State::ended) {
            continue;
        }
        if (voted) {
            Mask& d = *warp.at<Mask>(warp.barrier->d);
            d = block.votes ? d | warp.active : d & ~warp.active;
        }
        warp.state = Warp::State::runs;
    }
    block.votes = 0;
    return true;
}

[[noreturn]] void fail_deadlock(const std::vector<std::unique_ptr<Block>>& blocks) {
    for (const auto& block : blocks) {
        for (const Warp& warp : block->warps) {
            if (warp.state == Warp::State::yields) {
                const Kernel& kernel = *block->launch->kernel;
                fail(warp, kernel.code[warp.pc - 1], simt::Finding::deadlock, warp.active,
                     "nobody can go on: these wait for what no running thread does");
            }
        }
    }
    throw std::logic_error("no warp can go on, and none waits");
}

// Until all of these have ended.
void run_together(std::vector<std::unique_ptr<Block>>& blocks, std::uint64_t& random) {
    for (unsigned idle = 0;;) {
        bool some_left = false, progress = false;
        for (const auto& block : blocks) {
            for (const unsigned n :
                 simt::scheduled_order(static_cast<unsigned>(block->warps.size()), random)) {
                Warp& warp = block->warps[n];
                if (warp.state == Warp::State::runs || warp.state == Warp::State::yields) {
                    go_on(warp);
                    progress |= warp.state != Warp::State::yields;
                    some_left = true;
                }
            }
            if (release(*block)) {
                some_left = progress = true;
            }
        }
        if (!some_left) {
            return;
        }
        idle = progress ? 0 : idle + 1;
        if (idle == idle_rounds) {
            fail_deadlock(blocks);
        }
    }
}

} // namespace

void run(Launch& launch) {
    static std::uint64_t launches = 0;
    const dim3 grid = launch.geometry.grid;
    const unsigned count = grid.x * grid.y * grid.z;
    std::uint64_t random = simt::schedule().seed + 0x9e3779b97f4a7c15ull * ++launches;
    const unsigned at_once = launch.geometry.cooperative ? count : 1;
    // Kept from launch to launch, for their memory.
    static std::vector<std::unique_ptr<Block>> blocks;
    while (blocks.size() < at_once) {
        blocks.push_back(std::make_unique<Block>());
    }
    blocks.resize(at_once);
    const auto order = simt::scheduled_order(count, random);
    for (unsigned first = 0; first < count; first += at_once) {
        for (unsigned n = 0; n < at_once; ++n) {
            start_block(*blocks[n], launch, order[first + n]);
        }
        run_together(blocks, random);
    }
}

} // namespace ptx
