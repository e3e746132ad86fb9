#include "host/numerics/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "host/run/interrupt.h"

namespace patchforge {

void for_each_parallel(std::int64_t count, int threads,
                       const std::function<void(std::int64_t)>& work) {
    if (threads <= 0) {
        threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    }
    threads = static_cast<int>(std::min<std::int64_t>(threads, count));
    if (threads <= 1) {
        for (std::int64_t i = 0; i < count; ++i) {
            stop_if_interrupted();
            work(i);
        }
        return;
    }
    std::atomic<std::int64_t> next{0};
    std::mutex mutex;
    std::exception_ptr failure;
    const auto take_pieces = [&] {
        try {
            for (std::int64_t i = next++; i < count; i = next++) {
                stop_if_interrupted();
                work(i);
            }
        } catch (...) {
            next = count;
            const std::lock_guard lock(mutex);
            if (!failure) {
                failure = std::current_exception();
            }
        }
    };
    {
        std::vector<std::jthread> others;
        try {
            for (int i = 1; i < threads; ++i) {
                others.emplace_back(take_pieces);
            }
        } catch (const std::system_error&) { // those that the system starts do the work
        }
        take_pieces();
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
}

} // namespace patchforge
