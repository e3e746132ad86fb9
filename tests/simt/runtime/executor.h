// How a launch runs: every CUDA thread is a Thread that takes its turn on a Fiber until it has to
// wait; blocks run one after another, or all at once when the launch is cooperative.
#pragma once

#include "tests/simt/include/simt.h"
#include "tests/simt/runtime/context.h"

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace simt {

struct Block;
struct Fiber;

struct Thread {
    Block* block = nullptr;
    unsigned index = 0;     // within the block
    Fiber* fiber = nullptr; // null until it first runs
    bool begun = false;     // called begin_kernel()
    bool exited = false;

    // Where it waits and for what; `what` is null while it can run.
    const char* what = nullptr;
    Site site{};
    void* deposit = nullptr; // what it brought to a rendezvous
    BarrierVotes votes{};    // what a barrier gave it

    // Copies that were started and have not landed (simt_instructions.cpp). `groups` counts the
    // copies in each committed group, oldest first.
    struct Copy {
        void* to;
        const void* from;
        int bytes, valid_bytes;
    };
    std::vector<Copy> copies;
    std::vector<unsigned> groups;
    unsigned uncommitted = 0;

    unsigned lane() const { return index % 32; }
};

struct Barrier {
    unsigned expected = 0; // 0: all threads that have not left
    std::vector<Thread*> waiting;
    unsigned votes = 0;
};

// Lanes of a warp that wait for the rest of their mask.
struct Rendezvous {
    std::uint32_t mask = 0;
    std::uint32_t arrived = 0;
    WarpCompute compute = nullptr;
    const char* what = nullptr;
    Site site{};
};

struct Warp {
    std::uint32_t live = 0;
    std::vector<Rendezvous> pending;
};

constexpr int named_barriers = 16; // 0 is __syncthreads

struct Block {
    uint3 index{};
    unsigned slot = 0; // among the blocks that are live together
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    std::vector<std::byte> storage; // shared memory between its guards
    std::byte* shared = nullptr;    // within storage, 128-byte aligned
    unsigned live = 0;
    Barrier barriers[named_barriers];
};

struct Fiber {
#if defined(__SANITIZE_ADDRESS__)
    static constexpr std::size_t stack_bytes = 256 * 1024;
#else
    static constexpr std::size_t stack_bytes = 64 * 1024;
#endif
    Context context;
    std::byte* stack = nullptr;
};

class Executor {
  public:
    // Throws the Failure, or whatever the kernel threw.
    void run(const LaunchGeometry& geometry, const ThreadBody& body);

    bool running() const { return current_ != nullptr; }
    Thread& current() const { return *current_; }
    const LaunchGeometry& geometry() const { return geometry_; }
    bool on_current_stack(const void* pointer) const {
        const auto* address = static_cast<const std::byte*>(pointer);
        return address >= active_->stack && address < active_->stack + Fiber::stack_bytes;
    }

    // The current thread waits, until wake() names it, for `what` at `site`.
    void wait(const char* what, Site site);
    void wake(Thread& thread);
    void yield(Site site);
    BarrierVotes arrive(Barrier& barrier, bool predicate, const char* what, Site site);
    void arrive_at_grid_barrier(Site site);

    Failure failure(Finding finding, const std::string& place, const std::string& message) const;
    // Throws out of the kernel, which ends the launch: run() rethrows.
    [[noreturn]] void fail(Finding finding, Site site, const std::string& message) const;
    // The same from within a memory access, where the compiler expects no exception: the kernel's
    // frames are abandoned, not unwound.
    [[noreturn]] void fail_access(Finding finding, const void* pc, const std::string& message);
    // "kernel k, block (3,0,0), thread 17"
    std::string describe_current() const;

  private:
    void start_block(Block& block, unsigned linear_index);
    void finish_block(Block& block);
    void run_ready();
    void run_fiber();
    static void fiber_main();
    void leave(Thread& thread);
    unsigned expected_at(const Barrier& barrier) const;
    BarrierVotes release(Barrier& barrier, Thread* last = nullptr);
    Fiber& take_fiber();
    Thread* next();
    void select(Thread& thread);
    void enqueue(Thread& thread);
    Failure deadlock() const;
    std::string who_waits_where() const;

    LaunchGeometry geometry_;
    const ThreadBody* body_ = nullptr;
    Thread* current_ = nullptr;
    std::vector<std::unique_ptr<Block>> blocks_; // those that are live now, then spare ones
    std::size_t live_blocks_ = 0;
    unsigned live_threads_ = 0;
    Barrier grid_barrier_;

    // Threads that can run, in a ring: at most one entry a thread.
    std::vector<Thread*> ready_;
    std::size_t ready_first_ = 0, ready_count_ = 0;
    std::uint64_t random_ = 0;
    std::uint64_t launches_ = 0;
    std::uint64_t idle_yields_ = 0;

    Context host_;
    Fiber* active_ = nullptr;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Fiber*> free_fibers_;
    std::exception_ptr error_;
};

extern Executor executor;

// Throws a Failure for more than a GPU has.
void check_limits(const LaunchGeometry& geometry);

// The schedule's order of n things: 0..n-1, reversed or shuffled.
std::vector<unsigned> scheduled_order(unsigned n, std::uint64_t& random);
std::uint64_t next_random(std::uint64_t& state);

} // namespace simt
