// Independent pieces of work on several threads.
#pragma once

#include <cstdint>
#include <functional>

namespace patchforge {

// Calls work(0) … work(count - 1), each once, on `threads` threads (0: one a core). Which thread
// takes which piece is left to chance, so a piece may write only what no other piece touches, or
// integers under a lock; then the result does not depend on the number of threads. The first
// exception thrown by a piece is thrown again here, after all threads have stopped. A signal between two pieces is one
// such (host/run/interrupt.h).
void for_each_parallel(std::int64_t count, int threads,
                       const std::function<void(std::int64_t)>& work);

} // namespace patchforge
