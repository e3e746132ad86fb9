// What a piece of work puts on the device, kernel by kernel: as declared at the launch, without
// waiting for any of it, and as counted. For `patchforge plan` and for tests of launch decisions.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace patchforge {

class Backend;

struct KernelLaunch {
    std::string name; // of the operation; "copy" is a copy between device buffers
    unsigned grid[3] = {};
    unsigned block = 0; // threads
    std::size_t shared_bytes = 0;
    double bytes = 0;         // declared: its operands, each once (read and written: twice)
    double operations = 0;    // floating-point; a fused multiply-add counts two
    bool cooperative = false; // has barriers of the whole grid
    bool overlaps = false;    // may be started before the one before it has ended
    unsigned splits = 1;      // blocks that leave parts of one sum for the last of them
    int resident_blocks = 0;  // for which a multiprocessor has registers; 0: not known to be few
};

// What a kernel did to device memory when it ran.
struct KernelTraffic {
    std::string name;    // as in KernelLaunch
    double declared = 0; // KernelLaunch::bytes of this launch
    double read = 0;     // bytes of operands, each once; not what this launch itself wrote before
    double written = 0;  // bytes of operands, each once
    double partial = 0;  // bytes left in the backend's workspace, for another block to read again
    // Reads and writes of both, each byte once for every block that touches it: what L2 carries
    // where first-level caches keep all they have seen. 0 in a cooperative launch: not counted.
    double by_blocks = 0;
    double by_threads = 0; // as often as threads touched it

    double bytes() const { return read + written; }
};

// Whether this program can count: the kernels must run on the executor's checked build
// (docs/simt.md).
bool counts_traffic();
// Of all kernels that run on `backend`, a CUDA backend, while `body` does, in order.
// std::runtime_error in a program that cannot count.
std::vector<KernelTraffic> count_traffic(Backend& backend, const std::function<void()>& body);

// The kernels of the CUDA backend that `body` enqueues or records on this thread, in order.
// std::runtime_error in a program without the CUDA backend.
std::vector<KernelLaunch> trace_launches(const std::function<void()>& body);

} // namespace patchforge
