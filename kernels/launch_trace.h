// What a piece of work puts on the device, kernel by kernel, without waiting for any of it: for
// `patchforge plan` and for tests of launch decisions.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace patchforge {

struct KernelLaunch {
    std::string name; // of the operation; "copy" is a copy between device buffers
    unsigned grid[3] = {};
    unsigned block = 0; // threads
    std::size_t shared_bytes = 0;
    double bytes = 0;         // that its operands hold, each counted once (read and written: twice)
    double operations = 0;    // floating-point; a fused multiply-add counts two
    bool cooperative = false; // has barriers of the whole grid
};

// The kernels of the CUDA backend that `body` enqueues or records on this thread, in order.
// std::runtime_error in a program without the CUDA backend.
std::vector<KernelLaunch> trace_launches(const std::function<void()>& body);

} // namespace patchforge
