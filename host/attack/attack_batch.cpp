#include "host/attack/attack_batch.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace patchforge {

std::vector<std::int64_t> AttackSet::samples() const {
    std::vector<std::int64_t> numbers(labels.size());
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
}

AttackBatch::AttackBatch(Backend& backend, std::int64_t capacity, std::int64_t pixels)
    : backend_(&backend), capacity_(capacity), pixels_(pixels), levels_(backend, capacity * pixels),
      origin_(backend, capacity * pixels), x_(backend, capacity * pixels),
      label_(backend, capacity) {}

void AttackBatch::load(std::span<const std::uint8_t> levels, std::span<const std::int32_t> label,
                       std::span<const std::int64_t> sample) {
    rows_ = static_cast<std::int64_t>(label.size());
    if (rows_ < 1 || rows_ > capacity_ || sample.size() != label.size() ||
        static_cast<std::int64_t>(levels.size()) != rows_ * pixels_) {
        throw std::invalid_argument(
            "attack: pixels, labels and numbers do not agree; give one label and "
            "one number for each patch, at most a batch of them");
    }
    sample_.assign(sample.begin(), sample.end());
    host_label_.assign(label.begin(), label.end());
    std::vector<std::uint8_t> full(levels.begin(), levels.end());
    while (static_cast<std::int64_t>(host_label_.size()) < capacity_) {
        full.insert(full.end(), levels.begin(), levels.begin() + pixels_);
        host_label_.push_back(host_label_.front());
        sample_.push_back(sample_.front());
    }
    levels_.upload(full.data(), capacity_ * pixels_);
    label_.upload(host_label_.data(), capacity_);
    const BatchPlan plan{
        .count = capacity_, .batch_size = capacity_, .order = BatchPlan::Order::sequential};
    backend_->gather_rows(origin_.matrix(capacity_, pixels_), {},
                          levels_.matrix(capacity_, pixels_), PixelRange::unit, plan);
    restart();
}

void AttackBatch::load(const AttackSet& set, std::span<const std::int64_t> sample,
                       const std::vector<std::int32_t>& labels) {
    std::vector<std::uint8_t> levels;
    std::vector<std::int32_t> label;
    for (const std::int64_t number : sample) {
        const auto patch = set.patch(number);
        levels.insert(levels.end(), patch.begin(), patch.end());
        label.push_back(labels[number]);
    }
    load(levels, label, sample);
}

void AttackBatch::restart() {
    backend_->copy(x_.data(), origin_.data(),
                   static_cast<std::size_t>(capacity_ * pixels_) * sizeof(float));
}

std::vector<float> RowNumbers::get() const {
    std::vector<float> host(static_cast<std::size_t>(values_.size()));
    values_.download(host.data(), values_.size());
    return host;
}

void RowChoice::copy(Matrix<float> to, Matrix<const float> from,
                     const std::vector<std::uint8_t>& chosen) {
    std::vector<std::int32_t> index(chosen.size(), -1);
    bool any = false;
    for (std::size_t r = 0; r < chosen.size(); ++r) {
        index[r] = chosen[r] ? static_cast<std::int32_t>(r) : -1;
        any = any || chosen[r];
    }
    if (any) {
        index_.upload(index.data(), index_.size());
        backend_->place_rows(to, from, index_.view());
    }
}

RandomStream attack_stream(std::uint64_t seed, AttackStream use, std::uint64_t draw) {
    RandomStream stream;
    stream.seed = seed + (draw >> 32); // the offset holds 32 bits of the draw
    stream.purpose = static_cast<std::uint32_t>(Purpose::attack) + static_cast<std::uint32_t>(use);
    stream.draw.offset = static_cast<std::uint32_t>(draw);
    return stream;
}

void random_start(Backend& backend, AttackBatch& batch, Matrix<float> scratch, Ball ball,
                  double epsilon, std::uint64_t seed, std::uint32_t number) {
    // Every batch draws for itself: the numbers of its first sample make the draw its own.
    const std::uint64_t draw =
        static_cast<std::uint64_t>(batch.sample(0)) * 64 + std::min<std::uint32_t>(number, 63);
    const RowValue radius{static_cast<float>(epsilon)};
    if (ball == Ball::linf) {
        backend.fill_uniform(scratch.flat(), -1, 1, attack_stream(seed, AttackStream::start, draw));
        backend.perturb_step(batch.x(), batch.origin(), scratch, batch.origin(), radius, radius,
                             StepRule::plain, ball);
        return;
    }
    RowNumbers length(backend, batch.capacity());
    backend.fill_uniform(length.vector(), 0, 1, attack_stream(seed, AttackStream::radius, draw));
    std::vector<float> lengths = length.get();
    for (float& u : lengths) {
        u = static_cast<float>(epsilon * std::pow(u, 1.0 / static_cast<double>(batch.pixels())));
    }
    length.set(lengths);
    backend.fill_normal(scratch.flat(), 0, 1, attack_stream(seed, AttackStream::start, draw));
    backend.perturb_step(batch.x(), batch.origin(), scratch, batch.origin(), length.view(), radius,
                         StepRule::unit_l2, ball);
}

} // namespace patchforge
