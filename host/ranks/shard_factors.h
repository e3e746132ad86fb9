// The step of a chain of Linear layers whose batches are cut, without a gradient in memory.
//
// A shard's gradient of a weight matrix is dz' x, with dz [B, outputs] and x [B, inputs] of its rows: few numbers
// beside outputs * inputs. They are kept instead, for every shard; then each weight's gradient is worked out shard by
// shard, summed in the order of ShardTree and given to Adam while it is in registers (linear_shards_adam). Each
// sum is the one that ShardSum makes, bit for bit.
//
// The ranks of one machine keep the factors and the network's state once, in memory that they share (after Recht et
// al. 2011, but nobody writes what another reads): each updates its part of the weights, and no message carries any
// of it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "host/ranks/sharding.h"
#include "host/ranks/shared_memory.h"
#include "kernels/backend.h"
#include "kernels/operations/linear_shards.h"

namespace patchforge {

class ShardFactors {
  public:
    struct Layer {
        AdamTensor weight; // [outputs, inputs]; empty: not trained
        AdamTensor bias;   // [outputs] or empty
        std::int64_t outputs = 0, inputs = 0;
    };

    // Of a network whose state is `all`, with `maximum_rows` rows of a shard at most. Null where the ranks cannot
    // share memory, or the network is too small for pages of its own: then ShardSum does it. Every rank calls it, for
    // the same networks in the same order. On CPUs.
    static std::unique_ptr<ShardFactors> make(Backend& backend, const Sharding& sharding,
                                              const AdamTensor& all, std::vector<Layer> layers,
                                              std::int64_t maximum_rows);

    // Of a shard of this rank: a layer's input, and the gradient by what it gives, of a mean over the shard's rows.
    void put(int shard, std::int64_t layer, Matrix<const float> dz, Matrix<const float> x);
    // When all of this rank are there, of a batch whose shards have these shares of the rows: this rank's part of the
    // step. Every rank calls it; then all have the same weights.
    void update(const std::vector<double>& shares, float weight_decay, const Adam& adam);

  private:
    struct Factors {
        std::int64_t* rows;
        float* dz;
        float* x;
    };
    ShardFactors(Backend& backend, LinearShardOperations& operations, const Sharding& sharding,
                 std::vector<Layer> layers, std::int64_t maximum_rows,
                 std::unique_ptr<SharedMemory> memory);
    Factors factors(std::size_t shard, std::size_t layer) const;

    Backend& backend_;
    LinearShardOperations& operations_;
    WorkPiece own_;
    std::vector<Layer> layers_;
    std::int64_t maximum_rows_;
    std::unique_ptr<SharedMemory> memory_;
    std::vector<std::size_t> offsets_; // of a layer's factors in those of a shard; then their size
};

} // namespace patchforge
