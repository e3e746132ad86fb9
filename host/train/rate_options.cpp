#include "host/train/rate_options.h"

#include <algorithm>

namespace patchforge {

RateSchedule RateOptions::over(std::uint64_t steps_per_epoch, std::uint64_t total_steps) const {
    const auto steps = [&](double epochs) {
        return static_cast<std::uint64_t>(std::max(epochs, 0.0) *
                                          static_cast<double>(steps_per_epoch));
    };
    RateSchedule schedule{falls(), static_cast<float>(step_factor), steps(decay_epoch),
                          total_steps};
    if (decay_after >= 0) {
        schedule.start = static_cast<std::uint64_t>(decay_after * static_cast<double>(total_steps));
    }
    if (schedule.shape == Shape::linear && schedule.start < total_steps) {
        // The line that passes the share at the end of the run reaches 0 beyond it.
        schedule.end = schedule.start +
                       static_cast<std::uint64_t>(
                           static_cast<double>(total_steps - schedule.start) / (1 - decay_to));
    }
    if (schedule.shape == Shape::step) {
        schedule.end = schedule.start + std::max<std::uint64_t>(steps(step_epochs), 1);
    }
    return schedule.start < schedule.end ? schedule : RateSchedule{};
}

void describe_adam(Options& options, double& beta1, double& beta2, double& epsilon) {
    options.number("b1", beta1, {0, 0.999999}, "Adam's first decay");
    options.number("b2", beta2, {0, 0.9999999}, "Adam's second decay");
    options.number("adam_eps", epsilon, {1e-30, 1}, "Adam's epsilon");
}

void describe_rates(Options& options, RateOptions& rates) {
    using Shape = RateOptions::Shape;
    Option& schedule = options.choice<Shape>(
        "lr_schedule", rates.shape,
        {{"constant", Shape::constant},
         {"linear", Shape::linear},
         {"cosine", Shape::cosine},
         {"step", Shape::step}},
        "how the learning rate falls from --decay-epoch on: not at all; linearly or "
        "as half a cosine wave to 0 at the end; in steps");
    // The epoch or share that a preset falls from would make a line of it; one that is given still does.
    schedule.set = [&rates, set = schedule.set](const std::string& text) {
        set(text);
        if (rates.shape == Shape::constant) {
            rates.decay_epoch = rates.decay_after = -1;
        }
    };
    options.number("decay_epoch", rates.decay_epoch, {-1, 1e9},
                   "epoch from which the rate falls (-1: never or, with --lr-schedule, from the "
                   "start); alone: linearly");
    options.number("decay_after", rates.decay_after, {-1, 0.999999},
                   "the same as a share of all iterations (-1: by --decay-epoch)");
    options.only_one_of({"decay_epoch", "decay_after"});
    options.number("decay_to", rates.decay_to, {0, 0.999},
                   "share of the rate that is left at the end where it falls linearly");
    options
        .number("lr_step_epochs", rates.step_epochs, {1e-6, 1e9},
                "length of a step of the schedule")
        .beside("lr_schedule");
    options
        .number("lr_step_factor", rates.step_factor, {0, 1},
                "what each step multiplies the rate by")
        .beside("lr_schedule");
}

} // namespace patchforge
