// The samples that are attacked together. A batch always has its full number of rows: a short last
// one is filled up with copies of its first sample, so that one recorded attack serves all batches
// and no sample's result depends on how many neighbours it has.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace patchforge {

// The samples of an attack in host memory.
struct AttackSet {
    std::vector<std::uint8_t> levels; // [count, pixels], uint8 planes
    std::vector<std::int32_t> labels; // in [0, classes)
    std::vector<std::string> names;   // of the patches, e.g. paths; may be empty

    std::int64_t count() const { return static_cast<std::int64_t>(labels.size()); }
    std::span<const std::uint8_t> patch(std::int64_t i) const {
        const std::size_t pixels = levels.size() / labels.size();
        return {levels.data() + static_cast<std::size_t>(i) * pixels, pixels};
    }
    std::vector<std::int64_t> samples() const; // 0 .. count - 1
};

class AttackBatch {
  public:
    AttackBatch(Backend& backend, std::int64_t capacity, std::int64_t pixels);

    // levels: `rows` patches of uint8 planes; label: what the attack climbs away from, or a
    // target's class; sample: their numbers in the set. x starts as the origin.
    void load(std::span<const std::uint8_t> levels, std::span<const std::int32_t> label,
              std::span<const std::int64_t> sample);
    // Samples of a set; labels: of the whole set.
    void load(const AttackSet& set, std::span<const std::int64_t> sample,
              const std::vector<std::int32_t>& labels);

    std::int64_t rows() const { return rows_; } // samples; the matrices have capacity() rows
    std::int64_t capacity() const { return capacity_; }
    std::int64_t pixels() const { return pixels_; }
    std::int64_t sample(std::int64_t row) const { return sample_[row]; }
    std::int32_t host_label(std::int64_t row) const { return host_label_[row]; }

    Matrix<const float> origin() const { return origin_.matrix(capacity_, pixels_); }
    Matrix<float> x() const {
        return x_.matrix(capacity_, pixels_);
    } // where the attack leaves its result
    Vector<const std::int32_t> label() const { return label_.view(); }

    // x = origin.
    void restart();

  private:
    Backend* backend_;
    std::int64_t capacity_;
    std::int64_t pixels_;
    std::int64_t rows_ = 0;
    std::vector<std::int64_t> sample_;
    std::vector<std::int32_t> host_label_;
    DeviceArray<std::uint8_t> levels_;
    DeviceArray<float> origin_;
    DeviceArray<float> x_;
    DeviceArray<std::int32_t> label_;
};

// One number for every row of a batch, on the device.
class RowNumbers {
  public:
    RowNumbers() = default;
    RowNumbers(Backend& backend, std::int64_t rows) : backend_(&backend), values_(backend, rows) {}

    void fill(double value) { backend_->fill(values_.view(), static_cast<float>(value)); }
    void set(const std::vector<float>& values) {
        values_.upload(values.data(), static_cast<std::int64_t>(values.size()));
    }
    std::vector<float> get() const;
    RowValue view() const { return {0, values_.data()}; }
    Vector<float> vector() const { return values_.view(); }

  private:
    Backend* backend_ = nullptr;
    DeviceArray<float> values_;
};

// Copies chosen rows of a batch.
class RowChoice {
  public:
    RowChoice() = default;
    RowChoice(Backend& backend, std::int64_t rows) : backend_(&backend), index_(backend, rows) {}

    void copy(Matrix<float> to, Matrix<const float> from, const std::vector<std::uint8_t>& chosen);

  private:
    Backend* backend_ = nullptr;
    DeviceArray<std::int32_t> index_;
};

// x = a random place in the ball around the origin (and in the box): uniform in the cube (linf); a
// uniform direction and a radius eps u^(1/P) (l2), uniform in the ball before the box cuts it.
// `number` tells the restarts of one attack apart.
void random_start(Backend& backend, AttackBatch& batch, Matrix<float> scratch, Ball ball,
                  double epsilon, std::uint64_t seed, std::uint32_t number);

// What a stream of the attack draws for; added to Purpose::attack.
enum class AttackStream : std::uint32_t {
    start = 0,
    radius = 1,
    directions = 2,
    squares = 3,
    targets = 4,
    others = 5,
    changes = 6,        // that an attack climbs over
    judged_changes = 7, // that it is judged by
};
RandomStream attack_stream(std::uint64_t seed, AttackStream use, std::uint64_t draw);

} // namespace patchforge
