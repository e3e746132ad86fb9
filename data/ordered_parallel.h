#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace patchforge {

/// Runs `work(c, state)` for c = 0 … chunks-1 on several threads and `finish(c, state)` strictly in
/// the order of c, one at a time. Each thread owns one `state = make_state()` and takes the next
/// chunk only after finishing its last, so at most `threads` results exist at once. What
/// `finish` writes therefore does not depend on the number of threads.
///
/// `threads` 0 means one for each processor; 1 runs in the calling thread. The first exception of
/// any thread stops the others and is thrown again here.
template <class MakeState, class Work, class Finish>
void ordered_parallel(std::int64_t chunks, int threads, MakeState make_state, Work work,
                      Finish finish) {
    if (threads == 0) {
        threads = static_cast<int>(std::thread::hardware_concurrency());
    }
    if (threads > chunks) {
        threads = static_cast<int>(chunks);
    }
    if (threads <= 1) {
        auto state = make_state();
        for (std::int64_t c = 0; c < chunks; ++c) {
            work(c, state);
            finish(c, state);
        }
        return;
    }

    std::mutex mutex;
    std::condition_variable turn;
    std::int64_t next_to_work = 0;
    std::int64_t next_to_finish = 0;
    std::exception_ptr failure;

    const auto run = [&] {
        try {
            auto state = make_state();
            for (;;) {
                std::unique_lock lock(mutex);
                if (failure || next_to_work == chunks) {
                    return;
                }
                const std::int64_t c = next_to_work++;
                lock.unlock();
                work(c, state);
                lock.lock();
                turn.wait(lock, [&] { return failure || next_to_finish == c; });
                if (failure) {
                    return;
                }
                finish(c, state);
                ++next_to_finish;
                turn.notify_all();
            }
        } catch (...) {
            // The lock, if this thread held it, was released while the exception came here.
            const std::lock_guard lock(mutex);
            if (!failure) {
                failure = std::current_exception();
            }
            turn.notify_all();
        }
    };
    std::vector<std::jthread> others;
    try {
        for (int t = 1; t < threads; ++t) {
            others.emplace_back(run);
        }
    } catch (const std::system_error&) { // those that the system starts do the work
    }
    run();
    others.clear(); // joins
    if (failure) {
        std::rethrow_exception(failure);
    }
}

} // namespace patchforge
