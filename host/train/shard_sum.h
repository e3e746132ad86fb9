// Numbers that every shard contributes to, summed over all of them in the order of ShardTree.
#pragma once

#include "host/ranks/exchange.h"
#include "host/ranks/sharding.h"
#include "host/train/shards.h"
#include "kernels/backend.h"

namespace patchforge {

class ShardSum {
  public:
    // Of `size` numbers, in the memory of the backend.
    ShardSum(Backend& backend, const Sharding& sharding, std::int64_t size);

    // A batch whose first `filled` shards have rows.
    void begin(int filled);
    // Where a shard of this rank puts its numbers. One shard after the other.
    Vector<float> of(const Shard& shard);
    // They are there from `first` on, unweighted: their share of the batch is added to the sum. A shard may
    // come in pieces, from the end to the beginning; of a rank's last one, what is whole goes on its
    // way before the rest. One that comes at once does so in total(): no other sum is on its way then.
    void add(const Shard& shard, std::int64_t first = 0);
    // The sum, once that of all ranks is there. Every rank must ask for it.
    Vector<float> total();

  private:
    bool last(const Shard& shard) const {
        return shard.place + 1 == static_cast<int>(plan_[0].leaves.size());
    }
    Vector<float> slot(int number, std::int64_t first, std::int64_t end) const {
        return slots_.view().part(number * size_ + first, end - first);
    }
    void send_bucket(std::int64_t first, std::int64_t end);

    Backend& backend_;
    ShardTree tree_;
    int rank_;
    std::int64_t size_;
    DeviceArray<float> slots_;
    std::unique_ptr<Exchange> exchange_; // null: one rank
    ShardTree::Plan plan_[2];            // of even and odd buckets
    std::int64_t complete_from_ = 0;     // of the current shard
    std::int64_t sent_from_ = 0;         // of all, in buckets
    int buckets_ = 0;
};

} // namespace patchforge
