// What is told of every access in the checked build. Null in binaries whose kernels are not
// instrumented, so the plain executor pays one comparison for it.
#pragma once

#include "tests/simt/runtime/executor.h"

namespace simt {

class Checker {
  public:
    virtual ~Checker() = default;

    virtual void launch_started(const LaunchGeometry& geometry) = 0;
    virtual void launch_ended() = 0;
    virtual void block_started(Block& block) = 0;

    // What orders accesses to shared memory: all threads of a block, or these threads.
    virtual void block_barrier(Block& block) = 0;
    virtual void grid_barrier() = 0;
    virtual void joined(const std::vector<Thread*>& threads) = 0;

    // An access of the current thread, made by the instruction before `pc`. A copy is a write that
    // may land at any time from now on: it takes part in races but has written nothing yet. A fresh
    // read and a published write go past the first-level cache (__ldcg, __stcg): blocks may use
    // them to talk to each other.
    enum class Access : std::uint8_t { read, write, atomic, copy, fresh_read, published_write };
    virtual void access(Access kind, const void* pointer, std::size_t bytes, const void* pc) = 0;

    // Device memory: `pointer` is new and holds nothing, or was written from the host.
    virtual void allocated(const void* pointer, std::size_t bytes) = 0;
    virtual void freed(const void* pointer) = 0;
    virtual void written_by_host(const void* pointer, std::size_t bytes) = 0;
    // From device memory to device memory.
    virtual void copied(const void* to, const void* from, std::size_t bytes) = 0;
};

extern Checker* checker;

} // namespace simt
