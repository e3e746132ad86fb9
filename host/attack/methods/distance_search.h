// Searches for a near image by optimising pixels. Of what succeeded on the way the nearest is kept.
#pragma once

#include <vector>

#include "host/attack/attack_method.h"
#include "host/attack/attack_options.h"
#include "host/attack/input_adam.h"

namespace patchforge {

class DistanceSearch : public Attack {
  public:
    explicit DistanceSearch(const AttackScene& scene);
    std::int64_t steps_to_success(std::int64_t row) const override {
        return steps_to_success_[row];
    }

  protected:
    void begin(); // nothing has succeeded yet
    // While recording: gradient_ = the gradient of the goal's loss and of `weight` times the
    // squared distance, by x_; the distance; and the goal's loss, where wanted.
    void differentiate(const WhiteBoxVictim::Goal& goal, RowValue weight, Vector<float> loss = {});
    // Replays what was recorded with differentiate() in it, and puts into batch.x() what succeeds
    // nearer than before; 1 where the present image does.
    std::vector<std::uint8_t> look(Recording& gradient, std::int64_t step);
    // Where nothing has succeeded.
    std::vector<std::uint8_t> hopeless() const;

    DeviceArray<float> x_, gradient_;
    RowChoice keep_;

  private:
    RowNumbers distance_;
    std::vector<double> best_distance_;
    std::vector<std::int64_t> steps_to_success_;
};

} // namespace patchforge
