// How the learning rate of a training falls, in epochs as people give it.
#pragma once

#include "host/options/options.h"
#include "kernels/rate_schedule.h"

namespace patchforge {

struct RateOptions {
    using Shape = RateSchedule::Shape;
    Shape shape = Shape::constant; // with a decay_epoch: linear
    double decay_epoch = -1;  // full until here; below 0: with a shape from the start, else always
    double decay_after = -1;  // the same as a share of the run's steps, instead
    double decay_to = 0;      // what is left of a rate that falls linearly, at the end
    double step_epochs = 10;  // of Shape::step: how long each rate lasts,
    double step_factor = 0.1; // and what it is multiplied by then

    Shape falls() const {
        return shape == Shape::constant && (decay_epoch >= 0 || decay_after >= 0) ? Shape::linear
                                                                                  : shape;
    }
    // The rate of every step depends on how long the run is: it cannot be made longer.
    bool needs_length() const {
        return falls() == Shape::linear || falls() == Shape::cosine || decay_after >= 0;
    }
    // In optimiser steps.
    RateSchedule over(std::uint64_t steps_per_epoch, std::uint64_t total_steps) const;
};

// Adam's decays and epsilon, --b1, --b2, --adam-eps.
void describe_adam(Options& options, double& beta1, double& beta2, double& epsilon);
void describe_rates(Options& options, RateOptions& rates);

} // namespace patchforge
