#include "host/train/shard_sum.h"

#include <algorithm>

namespace patchforge {

namespace {

// 2^18 floats, 1 MiB: 0.1 ms over shared memory and 0.1 s over slow Ethernet, so that sending begins early
// and a message's latency (1 to 50 us) still does not count.
constexpr std::int64_t bucket_size = 1 << 18;

} // namespace

ShardSum::ShardSum(Backend& backend, const Sharding& sharding, std::int64_t size)
    : backend_(backend), tree_(sharding.shards, sharding.rank_count()), rank_(sharding.rank()),
      size_(size), slots_(backend, tree_.slots(rank_) * size),
      exchange_(make_exchange(backend, sharding.ranks, tree_, size)) {}

void ShardSum::begin(int filled) {
    for (const bool odd : {false, true}) {
        plan_[odd] = tree_.plan(rank_, filled, odd);
    }
    sent_from_ = size_;
    buckets_ = 0;
}

Vector<float> ShardSum::of(const Shard& shard) {
    complete_from_ = size_;
    return slot(plan_[0].leaves.at(static_cast<std::size_t>(shard.place)).slot, 0, size_);
}

void ShardSum::add(const Shard& shard, std::int64_t first) {
    const ShardTree::Leaf& leaf = plan_[0].leaves.at(static_cast<std::size_t>(shard.place));
    const std::int64_t end = complete_from_;
    if (first >= end) {
        return;
    }
    complete_from_ = first;
    const Vector<float> numbers = slot(leaf.slot, first, end);
    if (shard.share != 1) {
        backend_.affine(numbers, numbers, static_cast<float>(shard.share), 0);
    }
    for (const ShardTree::Addition& sum : leaf.additions) {
        const Vector<float> into = slot(sum.into, first, end);
        backend_.weighted_sum(into, into, 1, slot(sum.from, first, end), 1, {}, 0);
    }
    while (first > 0 && last(shard) && sent_from_ - first >= bucket_size) {
        send_bucket(sent_from_ - bucket_size, sent_from_);
    }
}

void ShardSum::send_bucket(std::int64_t first, std::int64_t end) {
    sent_from_ = first;
    const ShardTree::Plan& plan = plan_[buckets_++ % 2];
    if (exchange_) {
        exchange_->start(plan.steps, slots_.data() + first, size_, end - first);
    }
}

Vector<float> ShardSum::total() {
    while (sent_from_ > 0) {
        send_bucket(std::max<std::int64_t>(sent_from_ - bucket_size, 0), sent_from_);
    }
    if (exchange_) {
        exchange_->finish();
    }
    return slot(0, 0, size_);
}

} // namespace patchforge
