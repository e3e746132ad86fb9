// Workers for one backend. Work is cut into tasks by size alone, never by the number of threads,
// and no task reads what another of the same call writes; so results do not depend on who runs
// what.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace patchforge {

class ThreadPool {
  public:
    // threads >= 1, counting the caller: ThreadPool(1) starts none.
    explicit ThreadPool(int threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int threads() const { return static_cast<int>(workers_.size()) + 1; }

    // Calls body(task) for every task in [0, tasks), fewer than 2^32, and returns when all are done. The caller works
    // too. body must not throw and must not call parallel_for. Subnormal numbers count as zero in
    // it: moments that decay towards zero would otherwise slow every later step.
    template <class Body>
    void parallel_for(std::int64_t tasks, const Body& body) {
        run(
            tasks, [](const void* b, std::int64_t task) { (*static_cast<const Body*>(b))(task); },
            &body);
    }

  private:
    using Task = void (*)(const void* body, std::int64_t task);

    void run(std::int64_t tasks, Task task, const void* body);
    void work();
    void stop();
    void take_tasks(bool from_the_end);

    std::vector<std::thread> workers_;
    // Of the current call. They change only between calls, and who has taken a task off left_
    // is within one until it adds to done_; so a worker that wakes late, or never, delays nobody.
    Task task_ = nullptr;
    const void* body_ = nullptr;
    std::int64_t tasks_ = 0;
    std::atomic<bool> stopping_{false};
    // Tasks that nobody has taken: the first, and above it the end. The caller takes the first, workers
    // the last, so that in call after call each mostly works on what lies in its core's caches.
    alignas(64) std::atomic<std::uint64_t> left_{0};
    alignas(64) std::atomic<std::int64_t> done_{0};
    alignas(64) std::atomic<std::uint32_t> calls_{0}; // a new value: there is work
};

} // namespace patchforge
