// Attacks that search for a near image by optimising pixels:
//   forge  minimise loss(answer, target) + lambda ||x - x0||^2 over x, by gradient descent or Adam;
//          x is cut to the box after each step
//   cw     minimise ||x - x0||^2 + c max(-lead, -confidence) over w, x = (tanh(w) + 1) / 2, by
//   Adam, with a
//          binary search over c for every sample (Carlini & Wagner 2017); the lead is the margin of
//          the wrong class, or of the target
// Both keep the nearest image that succeeded on the way; without any, the last one (forge with
// `within`: the original).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "host/attack/attack_batch.h"
#include "host/attack/victim.h"

namespace patchforge {

class OptimisationAttack {
  public:
    OptimisationAttack(WhiteBoxVictim& victim, AttackBatch& batch, const AttackOptions& options);

    // `start` [capacity, pixels] in [0, 1] on the device. Leaves the images in batch.x().
    void run_forge(Matrix<const float> start, double lambda);
    void run_cw();

    // Of the last run: after how many steps a sample first succeeded, -1: never.
    const std::vector<std::int64_t>& steps_to_success() const { return steps_to_success_; }

  private:
    void begin();
    // Runs gradient_ once and keeps what succeeded; 1 where the present image did.
    std::vector<std::uint8_t> look(std::int64_t step);
    void set_weights(const std::vector<float>& values, double sign);

    WhiteBoxVictim& victim_;
    AttackBatch& batch_;
    AttackOptions options_;
    RowNumbers weight_;   // lambda, or +-c
    RowNumbers distance_; // of the present images
    DeviceArray<float> x_;
    DeviceArray<float> d_x_;
    DeviceArray<float> w_; // cw: the variable; its tanh
    DeviceArray<float> tanh_;
    DeviceArray<float> first_moment_;
    DeviceArray<float> second_moment_;
    DeviceArray<std::uint64_t> step_number_;
    DeviceArray<float> unused_metric_;
    DeviceArray<std::int32_t> index_;
    std::unique_ptr<Recording> gradient_;
    std::unique_ptr<Recording> update_;
    std::vector<double> best_distance_;
    std::vector<std::int64_t> steps_to_success_;
};

} // namespace patchforge
