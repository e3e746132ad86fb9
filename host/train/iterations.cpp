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
      device_step_(backend, 1), source_(backend, patches, options, device_step_.data()),
      metrics_(backend, metric_count), history_(backend, maximum_run * metric_count) {}

void Iterations::set_step(std::uint64_t step) {
    step_ = step;
    device_step_.upload(&step_, 1);
}

std::uint64_t Iterations::per_epoch() const {
    return static_cast<std::uint64_t>((source_.batches_per_epoch() + draws_ - 1) / draws_);
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
    std::vector<float> all(static_cast<std::size_t>(maximum_run * metric_count_));
    history_.download(all.data(), maximum_run * metric_count_);
    std::vector<std::vector<float>> rows;
    for (std::uint64_t step = first; step < end; ++step) {
        const auto row =
            all.begin() + static_cast<std::ptrdiff_t>(step % maximum_run) * metric_count_;
        rows.emplace_back(row, row + metric_count_);
    }
    return rows;
}

} // namespace patchforge
