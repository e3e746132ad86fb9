// Adam on what a network is given, instead of on its weights.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/rate_schedule.h"

namespace patchforge {

class InputAdam {
  public:
    InputAdam() = default;
    // `schedule`: of the rate, in steps since restart().
    InputAdam(Backend& backend, std::int64_t size, double learning_rate,
              const RateSchedule& schedule = {});

    // Forgets the moments and the steps so far.
    void restart();
    // Enqueues a step of x [size] by its gradient.
    void step(Vector<float> x, Vector<const float> d_x);

  private:
    Backend* backend_ = nullptr;
    double learning_rate_ = 0;
    RateSchedule schedule_;
    DeviceArray<float> first_moment_, second_moment_, unused_metric_;
    DeviceArray<std::uint64_t> step_number_;
};

} // namespace patchforge
