#include "host/train/iterations.h"

#include <fmt/format.h>

#include <stdexcept>

namespace patchforge {

namespace {

// Iterations in one recording where many of the same shape follow each other: enough to hide what a
// launch costs the host (a few microseconds) behind iterations that can take as little as 30.
constexpr int unrolled_iterations = 8;

} // namespace

Iterations::Iterations(Backend& backend, const PatchRows& patches, const BatchOptions& options,
                       std::int64_t metric_count)
    : backend_(backend), draws_(options.draws_per_iteration), metric_count_(metric_count),
      sharding_(options.sharding),
      places_(std::ssize(
          ShardTree(sharding_.shards, sharding_.rank_count()).shards_of(sharding_.rank()))),
      device_step_(backend, 1), source_(backend, patches, options, device_step_.data()),
      metrics_(backend, places_ * metric_count),
      history_(backend, maximum_run * places_ * metric_count) {}

void Iterations::set_step(std::uint64_t step) {
    step_ = step;
    device_step_.upload(&step_, 1);
}

std::uint64_t Iterations::per_epoch() const {
    return static_cast<std::uint64_t>((source_.batches_per_epoch() + draws_ - 1) / draws_);
}

std::vector<Shard> Iterations::shards(std::int64_t rows) const {
    const ShardTree tree(sharding_.shards, sharding_.rank_count());
    std::vector<Shard> mine;
    for (Shard shard : filled_shards(rows, source_.rows_of_shard())) {
        if (tree.owner(shard.number) == sharding_.rank()) {
            shard.place = static_cast<int>(mine.size());
            mine.push_back(shard);
        }
    }
    return mine;
}

IterationPattern Iterations::pattern_of(std::uint64_t iteration) const {
    IterationPattern pattern;
    const auto draws = static_cast<std::uint64_t>(draws_);
    for (std::uint64_t draw = 0; draw < draws; ++draw) {
        pattern.rows.push_back(source_.rows_of_draw(iteration * draws + draw));
    }
    pattern.slot = source_.streamed() ? static_cast<int>(iteration % 2) : 0;
    return pattern;
}

void Iterations::enqueue(const IterationPattern& pattern) {
    for (int i = 0; i < pattern.unrolled; ++i) {
        body_(pattern);
        backend_.finish_iteration(device_step_.data(), history(), metrics_.view());
    }
}

Recording& Iterations::recording(const IterationPattern& pattern) {
    std::unique_ptr<Recording>& recording = recordings_[pattern];
    if (!recording) {
        recording = backend_.record([this, pattern] { enqueue(pattern); });
    }
    return *recording;
}

void Iterations::record_next() {
    backend_.record([this, pattern = pattern_of(step_)] { enqueue(pattern); });
}

std::vector<std::vector<float>> Iterations::run(std::int64_t count) {
    if (count < 1 || count > maximum_run) {
        throw std::invalid_argument(
            fmt::format("Iterations::run: {} iterations; give 1 to {}", count, maximum_run));
    }
    const std::uint64_t first = step_;
    const std::uint64_t end = step_ + static_cast<std::uint64_t>(count);
    while (step_ < end) {
        const IterationPattern pattern = pattern_of(step_);
        if (source_.streamed()) {
            source_.stage(step_, pattern.slot);
            recording(pattern).replay();
            source_.release(pattern.slot);
            ++step_;
            continue;
        }
        std::uint64_t same = 1;
        while (step_ + same < end && pattern_of(step_ + same).rows == pattern.rows) {
            ++same;
        }
        if (whole_) {
            whole_(pattern, static_cast<std::int64_t>(same));
            step_ += same;
            continue;
        }
        const std::uint64_t unrolled = same / unrolled_iterations;
        if (unrolled > 0) {
            IterationPattern several = pattern;
            several.unrolled = unrolled_iterations;
            recording(several).replay(static_cast<std::int64_t>(unrolled));
        }
        if (same % unrolled_iterations > 0) {
            recording(pattern).replay(static_cast<std::int64_t>(same % unrolled_iterations));
        }
        step_ += same;
    }
    const std::int64_t width = places_ * metric_count_;
    std::vector<float> all(static_cast<std::size_t>(maximum_run * width));
    history_.download(all.data(), maximum_run * width);
    std::vector<float> measured;
    for (std::uint64_t step = first; step < end; ++step) {
        const auto row = all.begin() + static_cast<std::ptrdiff_t>(step % maximum_run) * width;
        measured.insert(measured.end(), row, row + width);
    }
    return metrics_of(gather_on_first(sharding_.ranks, measured), first, end);
}

std::vector<std::vector<float>>
Iterations::metrics_of(const std::vector<std::vector<float>>& measured, std::uint64_t first,
                       std::uint64_t end) const {
    const auto metrics = static_cast<std::size_t>(metric_count_);
    const ShardTree tree(sharding_.shards, sharding_.rank_count());
    std::vector<std::vector<float>> rows;
    for (std::uint64_t step = first; step < end && !measured.empty(); ++step) {
        // What an iteration measures, it measures on the batch of its last draw.
        const std::vector<Shard> shards =
            filled_shards(pattern_of(step).rows.back(), source_.rows_of_shard());
        std::vector<float>& row = rows.emplace_back(metrics);
        for (std::size_t m = 0; m < metrics; ++m) {
            std::vector<float> of_shards;
            for (const Shard& shard : shards) {
                const int owner = tree.owner(shard.number);
                const std::vector<int> its = tree.shards_of(owner);
                const std::size_t place = (step - first) * its.size() +
                                          static_cast<std::size_t>(shard.number - its.front());
                of_shards.push_back(static_cast<float>(shard.share) *
                                    measured[static_cast<std::size_t>(owner)][place * metrics + m]);
            }
            row[m] = sum_over_shards(of_shards);
        }
    }
    return rows;
}

} // namespace patchforge
