// Pictures that the shards of a batch made, all of them on every rank: what knows of a whole batch, as pools do,
// is the same wherever it is worked out.
#pragma once

#include <optional>
#include <vector>

#include "host/train/shard_sum.h"

namespace patchforge {

class WholeBatch {
  public:
    // `kinds` of pictures of `pixels` numbers, `rows` of each in every batch. A batch that is not cut is used where
    // it lies.
    WholeBatch(Backend& backend, const Sharding& sharding, std::size_t kinds, std::int64_t rows,
               std::int64_t pixels)
        : backend_(backend), shards_(sharding.shards), rows_(rows), pixels_(pixels), all_(kinds) {
        if (sharding.cut()) {
            sum_.emplace(backend, sharding, static_cast<std::int64_t>(kinds) * rows * pixels);
        }
    }

    // Of a shard, [its rows, pixels] of each kind. One shard of this rank after the other.
    void put(const Shard& shard, const std::vector<Matrix<const float>>& made) {
        if (!sum_) {
            all_ = made;
            return;
        }
        if (shard.place == 0) {
            sum_->begin(shards_);
        }
        // A sum in which each picture has one term, and other shards have zeros.
        const Vector<float> numbers = sum_->of(shard);
        backend_.fill(numbers, 0);
        for (std::size_t kind = 0; kind < made.size(); ++kind) {
            backend_.copy(numbers.data + first(kind) + shard.first * pixels_, made[kind].data,
                          static_cast<std::size_t>(made[kind].size()) * sizeof(float));
        }
        Shard unweighted = shard;
        unweighted.share = 1;
        sum_->add(unweighted);
    }
    // When all shards of this rank are there. Every rank calls it.
    void gather() {
        if (!sum_) {
            return;
        }
        const Vector<float> total = sum_->total();
        for (std::size_t kind = 0; kind < all_.size(); ++kind) {
            all_[kind] = {total.data + first(kind), rows_, pixels_};
        }
    }
    Matrix<const float> of(std::size_t kind) const { return all_[kind]; }

  private:
    std::int64_t first(std::size_t kind) const {
        return static_cast<std::int64_t>(kind) * rows_ * pixels_;
    }

    Backend& backend_;
    int shards_;
    std::int64_t rows_, pixels_;
    std::optional<ShardSum> sum_; // nothing: not cut
    std::vector<Matrix<const float>> all_;
};

} // namespace patchforge
