// The step of a fully connected layer whose batch is cut into shards. Only CPUs have it, where networks lie in
// memory that processes share (host/ranks/shard_factors.h); GPUs sum gradients that they have stored.
#pragma once

#include <span>

#include "kernels/operations/optimiser.h"

namespace patchforge {

// What a shard brings to a layer's gradient: `share` times dz^T x, and times the column sums of dz.
struct LinearShard {
    Matrix<const float> dz; // [B of the shard, O]
    Matrix<const float> x;  // [B of the shard, I]
    float share = 1;        // 1 of one that is alone
};

// Piece `number` of `count` pieces of a call's work.
struct WorkPiece {
    int number = 0;
    int count = 1;
};

struct LinearShardOperations {
    virtual ~LinearShardOperations() = default;

    // Adam along the sum of 1 to 4096 shards and weight_decay times the value, for weight [O, I] and bias [O] (or
    // empty). Each shard's gradient is rounded before and after it is multiplied with its share, and they are added along
    // the tree of host/ranks/shard_tree.h: the same bits as with gradients in memory.
    // Only `piece` is done: weights and biases that no other piece touches. All pieces together do the whole, with
    // the same bits however many there are. 24 bytes a parameter.
    virtual void linear_shards_adam(AdamTensor weight, AdamTensor bias,
                                    std::span<const LinearShard> shards, float weight_decay,
                                    WorkPiece piece, const Adam& adam) = 0;
};

} // namespace patchforge
