// The step of a chain of Linear layers whose batches are cut, without a gradient in memory.
//
// A shard's gradient of a weight matrix is dz' x, with dz [B, outputs] and x [B, inputs] of its rows: few numbers
// beside outputs * inputs. They are kept instead, for every shard; then each block of the weights that fits into a
// cache is worked out shard by shard, summed in the order of ShardTree and given to the optimiser. Each sum is the
// one that ShardSum makes, bit for bit.
//
// The ranks of one machine keep the factors and the network's state once, in memory that they share (after Recht et
// al. 2011, but nobody writes what another reads): each works out and updates its part of the blocks, and no
// message carries any of it. That saves the copies, and half of what two optimisers would do.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "host/ranks/shard_tree.h"
#include "host/ranks/sharding.h"
#include "host/ranks/shared_memory.h"
#include "kernels/backend.h"

namespace patchforge {

class ShardFactors {
  public:
    struct Layer {
        Vector<float> weight; // [outputs, inputs]; empty: not trained
        Vector<float> bias;   // [outputs] or empty
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
    // When all of this rank are there, of a batch whose shards have these shares of the rows. `update` is called for
    // each part of `all` that this rank updates: where it begins, and its gradient. Every rank calls it; then all
    // have the same weights.
    void update(const std::vector<double>& shares,
                const std::function<void(std::int64_t first, Vector<float> gradient)>& update);

  private:
    // Outputs of a layer that are worked out at once.
    struct Block {
        std::size_t layer;
        std::int64_t first, count;
    };
    struct Factors {
        std::int64_t* rows;
        float* dz;
        float* x;
    };
    ShardFactors(Backend& backend, const Sharding& sharding, const AdamTensor& all,
                 std::vector<Layer> layers, std::int64_t maximum_rows,
                 std::unique_ptr<SharedMemory> memory);
    Factors factors(int shard, std::size_t layer) const;
    std::vector<Block> blocks_of(const Sharding& sharding) const;

    Backend& backend_;
    std::vector<Layer> layers_;
    float* all_; // the first of the network's values
    std::int64_t maximum_rows_;
    ShardTree tree_; // as one rank goes through it
    std::unique_ptr<SharedMemory> memory_;
    std::vector<std::size_t> offsets_; // of a layer's factors in those of a shard; then their size
    std::vector<Block> blocks_;        // of this rank
    std::int64_t slot_size_ = 0;
    DeviceArray<float> slots_; // gradients of a block on their way into the sum
    DeviceArray<float> dz_;    // the outputs of a block
};

} // namespace patchforge
