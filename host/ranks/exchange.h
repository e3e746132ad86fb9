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

  protected:
    struct Piece {
        std::vector<ShardTree::Step> steps;
        float* slots;
        std::int64_t stride;
        std::int64_t count;
        float* received; // room for what is added

        float* slot(int number) const { return slots + number * stride; }
    };
};

// Agrees on what computes: std::runtime_error says what to do when it does not fit together. Every rank calls it, or
// make_exchange, which does.
void agree_on_devices(Backend& backend, Ranks& ranks);

// Between processes that hold shards as `tree` says, or null for one process alone. `room`: floats that may
// be on their way at once. Every rank calls it, for the same sums in the same order; the first call agrees on
// devices.
std::unique_ptr<Exchange> make_exchange(Backend& backend, Ranks* ranks, const ShardTree& tree,
                                        std::int64_t room);

} // namespace patchforge
