#include "kernels/cpu/thread_pool.h"

#include <immintrin.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <system_error>

namespace patchforge {
namespace {

// An iteration is a chain of some forty short calls: a sleeping worker would cost each of them a
// wake-up of 5 to 50 us. About 100 us of spinning covers the gaps within an iteration.
constexpr int spins_before_sleep = 4000;

constexpr unsigned flush_to_zero = 0x8000;
constexpr unsigned denormals_are_zero = 0x0040;

class SubnormalsAsZero {
  public:
    SubnormalsAsZero() : saved_(_mm_getcsr()) {
        _mm_setcsr(saved_ | flush_to_zero | denormals_are_zero);
    }
    ~SubnormalsAsZero() { _mm_setcsr(saved_); }

  private:
    unsigned saved_;
};

// Returns when `value` differs from `old`.
template <class T>
void await_change(const std::atomic<T>& value, T old) {
    for (int spin = 0; spin < spins_before_sleep; ++spin) {
        if (value.load(std::memory_order_acquire) != old) {
            return;
        }
        _mm_pause();
    }
    value.wait(old, std::memory_order_acquire);
}

} // namespace

ThreadPool::ThreadPool(int threads) {
    try {
        workers_.reserve(static_cast<std::size_t>(std::max(threads, 1)));
        for (int i = 1; i < threads; ++i) {
            workers_.emplace_back([this] { work(); });
        }
    } catch (const std::system_error& error) {
        const std::size_t started = workers_.size() + 1;
        stop();
        throw std::runtime_error("--threads " + std::to_string(threads) +
                                 ": the system starts no more than " + std::to_string(started) +
                                 " (" + error.code().message() +
                                 "); give fewer, or raise its limits (ulimit -u, ulimit -v)");
    }
}

ThreadPool::~ThreadPool() {
    stop();
}

void ThreadPool::stop() {
    stopping_.store(true, std::memory_order_relaxed);
    calls_.fetch_add(1, std::memory_order_release);
    calls_.notify_all();
    for (std::thread& worker : workers_) {
        worker.join();
    }
}

void ThreadPool::run(std::int64_t tasks, Task task, const void* body) {
    const SubnormalsAsZero scope;
    if (tasks <= 1 || workers_.empty()) {
        for (std::int64_t i = 0; i < tasks; ++i) {
            task(body, i);
        }
        return;
    }
    task_ = task;
    body_ = body;
    tasks_ = tasks;
    done_.store(0, std::memory_order_relaxed);
    left_.store(static_cast<std::uint64_t>(tasks) << 32, std::memory_order_release);
    calls_.fetch_add(1, std::memory_order_release);
    calls_.notify_all();
    take_tasks(false);
    for (std::int64_t done; (done = done_.load(std::memory_order_acquire)) != tasks;) {
        await_change(done_, done);
    }
}

void ThreadPool::work() {
    const SubnormalsAsZero scope;
    std::uint32_t seen = 0;
    for (;;) {
        await_change(calls_, seen);
        seen = calls_.load(std::memory_order_acquire);
        if (stopping_.load(std::memory_order_relaxed)) {
            return;
        }
        take_tasks(true);
    }
}

void ThreadPool::take_tasks(bool from_the_end) {
    std::uint64_t left = left_.load(std::memory_order_acquire);
    for (;;) {
        const std::uint64_t first = left & 0xffffffff, end = left >> 32;
        if (first == end) {
            return;
        }
        const std::uint64_t after = from_the_end ? left - (std::uint64_t{1} << 32) : left + 1;
        if (left_.compare_exchange_weak(left, after, std::memory_order_acq_rel,
                                        std::memory_order_acquire)) {
            const std::int64_t all = tasks_;
            task_(body_, static_cast<std::int64_t>(from_the_end ? end - 1 : first));
            if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == all) {
                done_.notify_one();
            }
            left = left_.load(std::memory_order_acquire);
        }
    }
}

} // namespace patchforge
