// Sums over ranks, in pieces, beside what the process computes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "host/ranks/shard_tree.h"

namespace patchforge {

class Backend;
class Ranks;

class Exchange {
  public:
    virtual ~Exchange() = default;

    // Takes the steps of ShardTree with a piece of each slot: `count` floats that begin `stride` floats
    // apart. Every rank starts the same pieces in the same order. Returns at once; `slots` is left
    // alone until finish() has returned.
    virtual void start(const std::vector<ShardTree::Step>& steps, float* slots, std::int64_t stride,
                       std::int64_t count) = 0;
    virtual void finish() = 0;
};

// Between processes, or null for one process alone. `room`: floats that may be on their way at once.
std::unique_ptr<Exchange> make_exchange(Backend& backend, Ranks* ranks, std::int64_t room);

} // namespace patchforge
