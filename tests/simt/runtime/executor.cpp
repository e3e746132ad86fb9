#include "tests/simt/runtime/executor.h"

#include "tests/simt/runtime/checker.h"
#include "tests/simt/runtime/device_memory.h"
#include "tests/simt/runtime/poison.h"
#include "tests/simt/runtime/symbols.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <numeric>

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace simt {

Executor executor;

namespace {

// Fibers that sleep at the same depth would all use the same cache sets if their stacks were
// aligned alike.
constexpr std::size_t stack_colours = 64, stack_colour_bytes = 64;

constexpr std::size_t shared_alignment = 128;
constexpr std::size_t shared_guard = 256;

// Rounds of yields without anybody getting further that are taken for a deadlock.
constexpr std::uint64_t idle_yield_rounds = 2000;

constexpr unsigned most_threads = 1024;
constexpr std::size_t most_shared_bytes = 227 * 1024;

std::string place(Site site) {
    return fmt::format("{}:{}", site.file, site.line);
}

// "0-31, 40, 64-95"
std::string ranges(std::vector<unsigned> numbers) {
    std::sort(numbers.begin(), numbers.end());
    std::string text;
    for (std::size_t i = 0; i < numbers.size();) {
        std::size_t last = i;
        while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) {
            ++last;
        }
        text += fmt::format("{}{}", text.empty() ? "" : ", ", numbers[i]);
        if (last > i) {
            text += fmt::format("-{}", numbers[last]);
        }
        i = last + 1;
    }
    return text;
}

bool same_place(Site a, Site b) {
    return a.line == b.line && std::strcmp(a.file, b.file) == 0;
}

} // namespace

std::uint64_t next_random(std::uint64_t& state) {
    // SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    std::uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

std::vector<unsigned> scheduled_order(unsigned n, std::uint64_t& random) {
    std::vector<unsigned> order(n);
    std::iota(order.begin(), order.end(), 0u);
    if (schedule().order == Schedule::Order::reverse) {
        std::reverse(order.begin(), order.end());
    } else if (schedule().order == Schedule::Order::random) {
        for (unsigned i = n; i > 1; --i) {
            std::swap(order[i - 1], order[next_random(random) % i]);
        }
    }
    return order;
}

void check_limits(const LaunchGeometry& geometry) {
    const auto refuse = [&](const std::string& what) {
        throw Failure(Finding::limit, fmt::format("kernel {}: {}", geometry.name, what));
    };
    const auto& [grid, block, shared_bytes, cooperative, overlaps, name, declared_bytes] = geometry;
    if (block == 0 || block > most_threads || block % 32 != 0) {
        refuse(fmt::format("{} threads a block; a multiple of 32 from 32 to {} is needed", block,
                           most_threads));
    }
    if (shared_bytes > most_shared_bytes) {
        refuse(fmt::format("{} bytes of shared memory a block; a GPU has at most {}", shared_bytes,
                           most_shared_bytes));
    }
    if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) {
        refuse(
            fmt::format("a grid of {} x {} x {} blocks; the limits are 2147483647 x 65535 x 65535",
                        grid.x, grid.y, grid.z));
    }
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) {
        refuse("an empty grid");
    }
    if (cooperative) {
        int per_multiprocessor = 0;
        simt_occupancy(&per_multiprocessor, static_cast<int>(block), shared_bytes);
        const auto blocks = std::uint64_t{grid.x} * grid.y * grid.z;
        // As many multiprocessors as the largest GPU aimed at: a kernel that fits there runs here.
        if (blocks > std::uint64_t{132} * static_cast<unsigned>(per_multiprocessor)) {
            refuse(fmt::format("{} blocks cannot all be live at once; at most {} can", blocks,
                               132 * per_multiprocessor));
        }
    }
}

void Executor::run(const LaunchGeometry& geometry, const ThreadBody& body) {
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    geometry_ = geometry;
    check_limits(geometry);
    body_ = &body;
    random_ = schedule().seed + 0x9e3779b97f4a7c15ull * ++launches_;
    error_ = nullptr;
    blockDim = dim3(geometry.block);
    gridDim = geometry.grid;

    const unsigned count = geometry.grid.x * geometry.grid.y * geometry.grid.z;
    const std::size_t together = geometry.cooperative ? count : 1;
    while (blocks_.size() < together) {
        blocks_.push_back(std::make_unique<Block>());
        blocks_.back()->slot = static_cast<unsigned>(blocks_.size()) - 1;
    }
    ready_.resize(together * geometry.block);
    ready_first_ = ready_count_ = 0;
    live_blocks_ = together;
    grid_barrier_ = {};
    if (checker) {
        checker->launch_started(geometry);
    }
    const auto order = scheduled_order(count, random_);
    for (std::size_t first = 0; first < count && !error_; first += together) {
        for (std::size_t i = 0; i < together; ++i) {
            start_block(*blocks_[i], order[first + i]);
        }
        run_ready();
        for (std::size_t i = 0; i < together && !error_; ++i) {
            finish_block(*blocks_[i]);
        }
    }
    if (checker) {
        checker->launch_ended();
    }
    if (error_) {
        // The fibers that still sleep inside the kernel will never be resumed: start them afresh.
        free_fibers_.clear();
        for (auto& fiber : fibers_) {
            fiber->context.prepare(fiber->stack, Fiber::stack_bytes, fiber_main);
            free_fibers_.push_back(fiber.get());
        }
        restore_guards();
        std::rethrow_exception(error_);
    }
    check_guards(geometry.name);
}

void Executor::start_block(Block& block, unsigned linear_index) {
    const auto& grid = geometry_.grid;
    block.index = {linear_index % grid.x, linear_index / grid.x % grid.y,
                   linear_index / grid.x / grid.y};
    block.live = geometry_.block;
    block.threads.assign(geometry_.block, {});
    block.warps.assign(geometry_.block / 32, {});
    for (auto& warp : block.warps) {
        warp.live = full_mask;
    }
    for (auto& barrier : block.barriers) {
        barrier.waiting.clear();
        barrier.votes = 0;
    }
    block.storage.resize(geometry_.shared_bytes + 2 * shared_guard + shared_alignment);
    const auto start = reinterpret_cast<std::uintptr_t>(block.storage.data()) + shared_guard;
    block.shared =
        reinterpret_cast<std::byte*>((start + shared_alignment - 1) & ~(shared_alignment - 1));
    poison(block.storage.data(), block.storage.size());
    live_threads_ += geometry_.block;
    for (const unsigned i : scheduled_order(geometry_.block, random_)) {
        block.threads[i].block = &block;
        block.threads[i].index = i;
        wake(block.threads[i]);
    }
    if (checker) {
        checker->block_started(block);
    }
}

void Executor::finish_block(Block& block) {
    const auto* start = block.storage.data();
    const auto before = static_cast<std::size_t>(block.shared - start);
    const auto after = before + geometry_.shared_bytes;
    for (const auto& [from, to] :
         {std::pair{std::size_t{0}, before}, std::pair{after, block.storage.size()}}) {
        const auto changed = first_changed(start + from, start + to);
        if (changed != start + to) {
            error_ = std::make_exception_ptr(Failure(
                Finding::out_of_bounds,
                fmt::format("kernel {}, block ({},{},{}): wrote at byte {} of {} bytes of shared "
                            "memory; keep every index within Storage",
                            geometry_.name, block.index.x, block.index.y, block.index.z,
                            changed - block.shared, geometry_.shared_bytes)));
            return;
        }
    }
}

void Executor::run_ready() {
    current_ = next();
    select(*current_);
    active_ = &take_fiber();
    host_.switch_to(active_->context);
    current_ = nullptr;
    if (error_) {
        live_threads_ = 0;
    }
}

Fiber& Executor::take_fiber() {
    if (free_fibers_.empty()) {
        // A slab at a time; untouched pages cost nothing.
        constexpr std::size_t slab = 256;
        void* memory = mmap(nullptr, slab * Fiber::stack_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            throw std::bad_alloc();
        }
        madvise(memory, slab * Fiber::stack_bytes, MADV_NOHUGEPAGE);
        for (std::size_t i = 0; i < slab; ++i) {
            auto fiber = std::make_unique<Fiber>();
            fiber->stack = static_cast<std::byte*>(memory) + i * Fiber::stack_bytes;
            const std::size_t colour = i % stack_colours * stack_colour_bytes;
            fiber->context.prepare(fiber->stack, Fiber::stack_bytes - colour, fiber_main);
            free_fibers_.push_back(fiber.get());
            fibers_.push_back(std::move(fiber));
        }
    }
    Fiber& fiber = *free_fibers_.back();
    free_fibers_.pop_back();
    return fiber;
}

void Executor::fiber_main() {
    Context::entered();
    executor.run_fiber();
}

// A fiber runs thread after thread for as long as they end without waiting, so a kernel without
// barriers never switches stacks.
void Executor::run_fiber() {
    for (;;) {
        current_->fiber = active_;
        try {
            body_->call(body_->closure.get());
            leave(*current_);
        } catch (...) {
            error_ = std::current_exception();
        }
        Thread* following = error_ ? nullptr : next();
        if (!following && !error_ && live_threads_ > 0) {
            error_ = std::make_exception_ptr(deadlock());
        }
        Fiber& self = *active_;
        free_fibers_.push_back(&self);
        if (!following) {
            self.context.switch_to(host_);
        } else {
            select(*following);
            if (following->fiber) {
                active_ = following->fiber;
                self.context.switch_to(active_->context);
            } else {
                free_fibers_.pop_back();
            }
        }
    }
}

void Executor::leave(Thread& thread) {
    Block& block = *thread.block;
    Warp& warp = block.warps[thread.index / 32];
    if (geometry_.overlaps && !thread.begun) {
        throw failure(Finding::overlap, geometry_.name,
                      "ended without begin_kernel(), so that it may end before the kernel before "
                      "it; make that the kernel's first statement");
    }
    thread.exited = true;
    idle_yields_ = 0;
    --block.live;
    --live_threads_;
    warp.live &= ~(1u << thread.lane());
    for (const auto& rendezvous : warp.pending) {
        if (rendezvous.mask & ~rendezvous.arrived & (1u << thread.lane())) {
            fail(Finding::lane_mask, rendezvous.site,
                 fmt::format("lane {} left the kernel but is named in mask {:#010x} of {}, where "
                             "lanes {:#010x} wait; name only lanes that take part",
                             thread.lane(), rendezvous.mask, rendezvous.what, rendezvous.arrived));
        }
    }
    for (Barrier* barrier : {&block.barriers[0], &grid_barrier_}) {
        if (!barrier->waiting.empty() && barrier->waiting.size() == expected_at(*barrier)) {
            release(*barrier);
        }
    }
}

Thread* Executor::next() {
    if (ready_count_ == 0) {
        return nullptr;
    }
    const std::size_t size = ready_.size();
    if (schedule().order == Schedule::Order::random) {
        const std::size_t chosen = (ready_first_ + next_random(random_) % ready_count_) % size;
        std::swap(ready_[ready_first_], ready_[chosen]);
    }
    Thread* thread = ready_[ready_first_];
    ready_first_ = ready_first_ + 1 == size ? 0 : ready_first_ + 1;
    --ready_count_;
    return thread;
}

void Executor::wake(Thread& thread) {
    thread.what = nullptr;
    idle_yields_ = 0;
    enqueue(thread);
}

void Executor::enqueue(Thread& thread) {
    const std::size_t end = ready_first_ + ready_count_++;
    ready_[end < ready_.size() ? end : end - ready_.size()] = &thread;
}

void Executor::select(Thread& thread) {
    current_ = &thread;
    threadIdx = {thread.index, 0, 0};
    blockIdx = thread.block->index;
}

void Executor::wait(const char* what, Site site) {
    current_->what = what;
    current_->site = site;
    Thread* following = next();
    Fiber& self = *active_;
    if (!following) {
        throw deadlock();
    }
    if (following == current_) {
        return;
    }
    select(*following);
    active_ = following->fiber ? following->fiber : &take_fiber();
    self.context.switch_to(active_->context);
}

void Executor::yield(Site site) {
    if (++idle_yields_ > idle_yield_rounds * (ready_count_ + 1)) {
        current_->what = "spin_until";
        current_->site = site;
        throw deadlock();
    }
    enqueue(*current_);
    wait("spin_until", site);
    current_->what = nullptr;
}

unsigned Executor::expected_at(const Barrier& barrier) const {
    if (&barrier == &grid_barrier_) {
        return live_threads_;
    }
    return barrier.expected ? barrier.expected : current_->block->live;
}

BarrierVotes Executor::arrive(Barrier& barrier, bool predicate, const char* what, Site site) {
    if (!barrier.waiting.empty()) {
        const Thread& other = *barrier.waiting.front();
        if (!same_place(other.site, site) || std::strcmp(other.what, what) != 0) {
            fail(
                Finding::divergent_barrier, site,
                fmt::format("thread {} is at {} here while {} waits; bring all threads to the same "
                            "barrier",
                            current_->index, what, who_waits_where()));
        }
    }
    barrier.votes += predicate;
    barrier.waiting.push_back(current_);
    if (barrier.waiting.size() < expected_at(barrier)) {
        wait(what, site);
    } else {
        barrier.waiting.pop_back();
        current_->votes = release(barrier, current_);
    }
    return current_->votes;
}

// `last` is the thread that completes the barrier and goes straight on; null if one that left did.
BarrierVotes Executor::release(Barrier& barrier, Thread* last) {
    const auto arrived = static_cast<unsigned>(barrier.waiting.size()) + (last != nullptr);
    const BarrierVotes votes{static_cast<int>(barrier.votes), barrier.votes == arrived,
                             barrier.votes > 0};
    if (checker) {
        if (&barrier == &grid_barrier_) {
            checker->grid_barrier();
            for (std::size_t i = 0; i < live_blocks_; ++i) {
                checker->block_barrier(*blocks_[i]);
            }
        } else if (barrier.expected == 0) {
            checker->block_barrier(*current_->block);
        } else {
            auto threads = barrier.waiting;
            threads.push_back(last);
            checker->joined(threads);
        }
    }
    for (Thread* thread : barrier.waiting) {
        thread->votes = votes;
        wake(*thread);
    }
    barrier.waiting.clear();
    barrier.votes = 0;
    return votes;
}

void Executor::arrive_at_grid_barrier(Site site) {
    if (!geometry_.cooperative) {
        fail(Finding::limit, site,
             "a grid barrier in a launch that is not cooperative; set LaunchShape::cooperative");
    }
    arrive(grid_barrier_, false, "grid_barrier", site);
}

std::string Executor::describe_current() const {
    const auto& block = current_->block->index;
    return fmt::format("kernel {}, block ({},{},{}), thread {}", geometry_.name, block.x, block.y,
                       block.z, current_->index);
}

Failure Executor::failure(Finding finding, const std::string& place,
                          const std::string& message) const {
    return Failure(finding, fmt::format("{}: {}: {}: {}", place, name_of(finding),
                                        describe_current(), message));
}

void Executor::fail(Finding finding, Site site, const std::string& message) const {
    throw failure(finding, place(site), message);
}

void Executor::fail_access(Finding finding, const void* pc, const std::string& message) {
    error_ = std::make_exception_ptr(failure(finding, source_of(pc), message));
    active_->context.switch_to(host_);
    std::terminate(); // nobody comes back to a launch that has ended
}

Failure Executor::deadlock() const {
    Site first{"?", 0};
    for (std::size_t i = live_blocks_; i-- > 0;) {
        for (const auto& thread : blocks_[i]->threads) {
            first = !thread.exited && thread.what ? thread.site : first;
        }
    }
    const char* advice = geometry_.cooperative
                             ? "let every thread that is waited for arrive"
                             : "let every thread that is waited for arrive, and wait for other "
                               "blocks only in a cooperative launch";
    return Failure(Finding::deadlock,
                   fmt::format("{}: deadlock: kernel {}: nobody can go on: {}; {}", place(first),
                               geometry_.name, who_waits_where(), advice));
}

std::string Executor::who_waits_where() const {
    std::map<std::pair<unsigned, std::string>, std::vector<unsigned>> groups;
    for (std::size_t i = 0; i < live_blocks_; ++i) {
        for (const auto& thread : blocks_[i]->threads) {
            if (!thread.exited && thread.what) {
                groups[{static_cast<unsigned>(i),
                        fmt::format("{} at {}", thread.what, place(thread.site))}]
                    .push_back(thread.index);
            }
        }
    }
    constexpr std::size_t most_groups = 8;
    std::string text;
    std::size_t shown = 0;
    for (const auto& [key, threads] : groups) {
        if (shown++ == most_groups) {
            text += fmt::format("; and {} more groups", groups.size() - most_groups);
            break;
        }
        const auto& index = blocks_[key.first]->index;
        text += fmt::format("{}block ({},{},{}) threads {}: {}", text.empty() ? "" : "; ", index.x,
                            index.y, index.z, ranges(threads), key.second);
    }
    return text;
}

// What kernels call.

BarrierVotes sync_threads(bool predicate, const char* what, Site site) {
    return executor.arrive(executor.current().block->barriers[0], predicate, what, site);
}

void named_barrier(int id, unsigned threads, Site site) {
    if (id < 0 || id >= named_barriers || threads == 0 || threads % 32 != 0) {
        executor.fail(
            Finding::limit, site,
            fmt::format("barrier {} of {} threads; ids are 0 to {}, counts multiples of 32", id,
                        threads, named_barriers - 1));
    }
    auto& barrier = executor.current().block->barriers[id];
    if (!barrier.waiting.empty() && barrier.expected != threads) {
        executor.fail(Finding::divergent_barrier, site,
                      fmt::format("barrier {} is waited at for {} threads and here for {}", id,
                                  barrier.expected, threads));
    }
    barrier.expected = threads;
    executor.arrive(barrier, false, "named_barrier", site);
    if (id == 0) {
        barrier.expected = 0;
    }
}

void grid_barrier(Site site) {
    executor.arrive_at_grid_barrier(site);
}

void yield(const char* file, int line) {
    executor.yield({file, line});
}

void* shared_memory(std::size_t bytes, std::size_t alignment) {
    const auto& geometry = executor.geometry();
    if (bytes > geometry.shared_bytes || alignment > shared_alignment) {
        throw executor.failure(
            Finding::limit, geometry.name,
            fmt::format("asks for {} bytes of shared memory aligned to {}, was launched "
                        "with {} aligned to {}; launch with sizeof(Storage)",
                        bytes, alignment, geometry.shared_bytes, shared_alignment));
    }
    return executor.current().block->shared;
}

void check_aligned(const void* pointer, std::size_t alignment, Site site) {
    if (reinterpret_cast<std::uintptr_t>(pointer) % alignment != 0) {
        executor.fail(
            Finding::misaligned, site,
            fmt::format("address {} of an access of {} bytes is not a multiple of {}; read "
                        "the ragged part one element at a time",
                        pointer, alignment, alignment));
    }
}

} // namespace simt
