#include "host/attack/input_adam.h"

namespace patchforge {

InputAdam::InputAdam(Backend& backend, std::int64_t size, double learning_rate,
                     const RateSchedule& schedule)
    : backend_(&backend), learning_rate_(learning_rate), schedule_(schedule),
      first_moment_(backend, size), second_moment_(backend, size), unused_metric_(backend, 2),
      step_number_(backend, 1) {}

void InputAdam::restart() {
    backend_->fill(first_moment_.view(), 0);
    backend_->fill(second_moment_.view(), 0);
    const std::uint64_t none = 0;
    step_number_.upload(&none, 1);
}

void InputAdam::step(Vector<float> x, Vector<const float> d_x) {
    backend_->adam({x, first_moment_.view(), second_moment_.view()}, d_x,
                   {.learning_rate = static_cast<float>(learning_rate_),
                    .step = {.step = step_number_.data()},
                    .schedule = schedule_});
    backend_->finish_iteration(step_number_.data(), unused_metric_.matrix(1, 1),
                               unused_metric_.view().part(1, 1));
}

} // namespace patchforge
