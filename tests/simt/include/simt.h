// The executor's face: what kernels/cuda/device.h needs to start kernels on the CPU, and what tests
// use to choose a schedule. How it works and what it finds: docs/simt.md.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "device_functions.h"

namespace simt {

// What was found wrong in a kernel. Thrown out of launch(), and so out of the launcher that the
// test called; what() names kernel, block, threads, file and line.
enum class Finding {
    divergent_barrier, // threads of one block wait at different barriers
    deadlock,          // nobody can go on
    lane_mask,         // a lane calls without being named, or is named and has left
    misaligned,        // a vector access at an address it cannot have
    out_of_bounds,     // an access outside every buffer, or a guard word changed
    unwritten_read,    // a read of memory that nobody wrote          (checked build)
    race,              // unordered accesses of two threads to a word (checked build)
    overlap,           // a kernel that overlaps the one before did not begin with begin_kernel()
    not_loaded,        // a kernel is recorded before its code was loaded
    limit,             // more than a GPU has
};
const char* name_of(Finding finding);

class Failure : public std::runtime_error {
  public:
    Failure(Finding finding, const std::string& what)
        : std::runtime_error(what), finding_(finding) {}
    Finding finding() const { return finding_; }

  private:
    Finding finding_;
};

// The order in which blocks, and the threads of a block between two barriers, take their turn.
// A correct kernel gives the same bits under all of them. The first schedule is read from
// $PATCHFORGE_SIMT_SCHEDULE: forward (default), reverse or random:<seed>.
struct Schedule {
    enum class Order { forward, reverse, random } order = Order::forward;
    std::uint64_t seed = 0;
};
void set_schedule(Schedule schedule);
Schedule schedule();
// Throws std::invalid_argument for anything but the three forms above.
Schedule parse_schedule(const std::string& text);

// True in binaries whose kernels were compiled with memory instrumentation (tests/simt/runtime/
// memory_hooks.cpp): only these find races, unwritten reads and every out-of-bounds access.
bool checked();

// The device gets so many twins; threads start with device 0, streams belong to the device of the
// thread that made them. 1 when the program starts.
void set_device_count(int count);
// From the end of the next launch of that name on the device answers nothing but
// cudaErrorIllegalAddress, until this is called with null.
void fail_in(const char* kernel);

// Allocations that were not given back yet: device and pinned host memory.
std::size_t live_allocations();

// What one launch, or one copy between device buffers, did to device memory. Bytes; an atomic
// operation reads and writes.
struct Traffic {
    struct Buffer {
        const void* start = nullptr;
        std::size_t bytes = 0;
        std::uint64_t read = 0;    // each once; not those that this launch wrote before
        std::uint64_t written = 0; // each once
        // Each once for every block that touched it: reads and writes together. 0 in a cooperative
        // launch, whose blocks take turns.
        std::uint64_t by_blocks = 0;
        std::uint64_t by_threads = 0; // as often as threads touched it
    };
    std::string name;            // of the launch; "copy"
    double declared_bytes = 0;   // as at the launch; of a copy: twice its bytes
    std::vector<Buffer> buffers; // in the order of first accesses
};
// Of everything that runs on the device while `body` does, in order. Needs checked() kernels, whose
// accesses are counted and not judged meanwhile.
std::vector<Traffic> count_traffic(const std::function<void()>& body);

struct LaunchGeometry {
    dim3 grid;
    unsigned block = 32;
    std::size_t shared_bytes = 0;
    bool cooperative = false;
    bool overlaps = false; // a GPU may start it before the launch before it has ended
    const char* name = "";
    double declared_bytes = 0; // what the launcher says that the operands hold
};
struct KernelArgument {
    const void* bytes;
    std::size_t size, alignment;
};
// What every thread of a launch runs: a kernel with its arguments, copied when it was launched.
struct ThreadBody {
    std::shared_ptr<const void> closure;
    void (*call)(const void* closure);
    const void* kernel; // its address, and where its arguments lie, for an Engine
    std::vector<KernelArgument> arguments;
};
// Runs launches in the executor's place (tests/ptx). False: leaves this one to the executor.
using Engine = bool (*)(const LaunchGeometry& geometry, const ThreadBody& body);
void set_engine(Engine engine);
// Runs `body` once for every thread of the grid, or records it if the stream is captured.
void launch_threads(const LaunchGeometry& geometry, cudaStream_t stream, ThreadBody body);

// The arguments lie in host memory, where a kernel must not read: the checked build leaves the two
// functions that hand them over alone.
#define SIMT_NOT_CHECKED __attribute__((no_sanitize("thread")))

template <class... Parameters>
void launch(void (*kernel)(Parameters...), const LaunchGeometry& geometry, cudaStream_t stream,
            std::type_identity_t<Parameters>... arguments) {
    const auto closure = [=]() SIMT_NOT_CHECKED { kernel(arguments...); };
    using Closure = decltype(closure);
    struct Launched {
        Closure closure;
        std::tuple<Parameters...> arguments;
    };
    const auto call = [](const void* pointer)
                          SIMT_NOT_CHECKED { static_cast<const Launched*>(pointer)->closure(); };
    const auto launched =
        std::make_shared<const Launched>(closure, std::tuple<Parameters...>(arguments...));
    const auto list = std::apply(
        [](const auto&... argument) {
            return std::vector<KernelArgument>{
                {&argument, sizeof argument, alignof(decltype(argument))}...};
        },
        launched->arguments);
    launch_threads(geometry, stream, {launched, call, reinterpret_cast<const void*>(kernel), list});
}

// The shared memory of the block that calls. Poisoned with signalling NaNs when the block starts.
void* shared_memory(std::size_t bytes, std::size_t alignment);

} // namespace simt
