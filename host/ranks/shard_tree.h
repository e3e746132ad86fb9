// The fixed order in which numbers of shards are summed, whoever holds them.
//
// A global batch is cut into S shards. Level l of the tree adds node i + 2^l to node i for every i that is a
// multiple of 2^(l+1); node 0 ends as the sum. N ranks hold contiguous shares of the shards, and a node's sum
// is worked out by one of the two ranks that hold its halves: a + b is the same number on either. So the
// result depends on S and on how many shards have rows, and not on N.
#pragma once

#include <vector>

namespace patchforge {

class ShardTree {
  public:
    // 1 <= ranks <= shards.
    ShardTree(int shards, int ranks);

    int shards() const { return shards_; }
    int ranks() const { return ranks_; }
    int owner(int shard) const;                 // the rank that works it out
    std::vector<int> shards_of(int rank) const; // ascending

    struct Addition {
        int into, from; // slots
    };
    // A shard's numbers are put into `slot`, and these sums are then complete.
    struct Leaf {
        int shard, slot;
        std::vector<Addition> additions;
    };
    // What comes when a rank's own shards are summed, in this order. In a round a rank has a message with one
    // other at most, which has it in the same round, and adds afterwards; before the first it only adds.
    struct Step {
        enum class Kind {
            add,           // slot `from` is added to slot `slot`
            send,          // slot `slot` goes to `peer`
            add_received,  // what `peer` sends is added to slot `slot`
            send_total,    // slot `slot` holds the total and goes to `peer`
            receive_total, // the total comes from `peer` into slot `slot`
        };
        Kind kind;
        int slot;
        int peer = -1;
        int from = -1;
        int round = 0;
    };
    struct Plan {
        std::vector<Leaf> leaves;
        std::vector<Step> steps; // then slot 0 holds the sum
    };
    // For a batch whose first `filled` shards have rows. Where ranks meet, the right one adds if `rightwards`
    // and its sum lies in slot 0 in the end, else the left one; the numbers are the same.
    Plan plan(int rank, int filled, bool rightwards = false) const;
    // The most slots that any plan of a rank takes.
    int slots(int rank) const;

  private:
    int shards_;
    int ranks_;
};

// The sum over shards of numbers that lie in one place: values[i] is of shard i, and is written over.
// Returns values.front(); there must be one.
float sum_over_shards(std::vector<float>& values);

} // namespace patchforge
