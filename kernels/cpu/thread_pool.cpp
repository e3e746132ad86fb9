#include "kernels/cpu/thread_pool.h"

#include <immintrin.h>

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
void await_change(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
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
    for (int i = 1; i < threads; ++i) {
        workers_.emplace_back([this] { work(); });
    }
}

ThreadPool::~ThreadPool() {
    stopping_ = true;
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    for (std::thread& worker : workers_) {
        worker.join();
    }
}

void ThreadPool::run(std::int64_t tasks, Task task, const void* body) {
    task_ = task;
    body_ = body;
    tasks_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    const SubnormalsAsZero scope;
    if (tasks <= 1 || workers_.empty()) {
        take_tasks();
        return;
    }
    running_.store(static_cast<std::uint32_t>(workers_.size()), std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    take_tasks();
    for (std::uint32_t left; (left = running_.load(std::memory_order_acquire)) != 0;) {
        await_change(running_, left);
    }
}

void ThreadPool::work() {
    const SubnormalsAsZero scope;
    std::uint32_t seen = 0;
    for (;;) {
        await_change(round_, seen);
        ++seen;
        if (stopping_) {
            return;
        }
        take_tasks();
        if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            running_.notify_one();
        }
    }
}

void ThreadPool::take_tasks() {
    for (std::int64_t task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < tasks_;) {
        task_(body_, task);
    }
}

} // namespace patchforge
