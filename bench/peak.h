// The processor's float32 peak, measured.
#pragma once

namespace patchforge::bench {

// Multiply-adds a second, counted as two operations each, of `threads` threads (0: one a core) that
// do nothing else, with the vectors that the backend would use. The best of several tries.
double cpu_peak(int threads);

} // namespace patchforge::bench
