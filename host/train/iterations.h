// Training iterations, recorded once a pattern and replayed. Everything an iteration changes lies on
// the device: the step number, the metrics, and what the family trains.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "host/train/batches.h"
#include "kernels/backend.h"

namespace patchforge {

// What an iteration's recording depends on: the true rows of each draw, the slot that streamed rows
// lie in, and how many iterations are unrolled into one recording.
struct IterationPattern {
    std::vector<std::int64_t> rows;
    int slot = 0;
    int unrolled = 1;

    bool operator<(const IterationPattern& other) const {
        return std::tie(rows, slot, unrolled) < std::tie(other.rows, other.slot, other.unrolled);
    }
};

class Iterations {
  public:
    // An iteration leaves `metric_count` numbers in metrics(). Throws what BatchSource throws.
    Iterations(Backend& backend, const PatchRows& patches, const BatchOptions& options,
               std::int64_t metric_count);

    BatchSource& source() { return source_; }
    const BatchSource& source() const { return source_; }
    std::uint64_t step() const { return step_; } // iterations done
    void set_step(std::uint64_t step);
    // Iterations an epoch takes, rounded up.
    std::uint64_t per_epoch() const;
    // Counts the iterations, or draws where each makes several: number * draws + draw.
    StepCount count(std::int64_t draws = 1, std::int64_t draw = 0) const {
        return {device_step_.data(), static_cast<std::uint32_t>(draws),
                static_cast<std::uint32_t>(draw)};
    }
    // The same where random numbers are drawn for rows: a shard's rows have draws of their own, so
    // that what a row is given does not depend on who works it out.
    StepCount row_count(std::int64_t draws = 1, std::int64_t draw = 0) const {
        return count(draws * sharding_.shards, draw * sharding_.shards + shard_.number);
    }
    // Of the shard of the iteration that is being enqueued: means over its rows.
    Vector<float> metrics(std::int64_t first, std::int64_t count = 1) const {
        return metrics_.view().part(shard_.place * metric_count_ + first, count);
    }

    const Sharding& sharding() const { return sharding_; }
    // Of a batch of `rows` rows, those that this rank works out; the batch itself if it is not cut.
    std::vector<Shard> shards(std::int64_t rows) const;
    // What is enqueued from here on is of this shard.
    void enter(const Shard& shard) { shard_ = shard; }
    const Shard& shard() const { return shard_; }
    // Rows of the current shard in draw `j` (BatchSource::gather).
    void gather(Matrix<float> x, Vector<std::int32_t> row, std::int64_t j, int slot,
                PixelRange range) {
        source_.gather(x, row, j, slot, range, shard_);
    }

    // What enqueues one iteration.
    void define(std::function<void(const IterationPattern&)> body) { body_ = std::move(body); }
    // The place where whole iterations are rewritten: this runs `times` iterations of `pattern` in
    // one go, instead of the recording. Not for streamed rows.
    using Whole = std::function<void(const IterationPattern& pattern, std::int64_t times)>;
    void run_whole(Whole whole) { whole_ = std::move(whole); }
    std::uint64_t* device_step() const { return device_step_.data(); }
    Matrix<float> history() const { return history_.matrix(maximum_run, places_ * metric_count_); }

    // Runs `count` iterations, at most maximum_run; returns the metrics of each.
    static constexpr std::int64_t maximum_run = 1024;
    std::vector<std::vector<float>> run(std::int64_t count);
    // Records the next iteration and forgets it again: for `plan`, which looks at what is recorded.
    void record_next();

  private:
    IterationPattern pattern_of(std::uint64_t iteration) const;
    void enqueue(const IterationPattern& pattern);
    // The metrics of iterations `first` to `end`, from what each rank's shards measured in them. Empty
    // where the rank is not 0.
    std::vector<std::vector<float>> metrics_of(const std::vector<std::vector<float>>& measured,
                                               std::uint64_t first, std::uint64_t end) const;
    Recording& recording(const IterationPattern& pattern);

    Backend& backend_;
    std::int64_t draws_;
    std::int64_t metric_count_;
    Sharding sharding_;
    Shard shard_;
    std::int64_t places_; // shards of this rank
    DeviceArray<std::uint64_t> device_step_;
    BatchSource source_;
    DeviceArray<float> metrics_;
    DeviceArray<float> history_;
    std::function<void(const IterationPattern&)> body_;
    Whole whole_;
    std::map<IterationPattern, std::unique_ptr<Recording>> recordings_;
    std::uint64_t step_ = 0;
};

} // namespace patchforge
