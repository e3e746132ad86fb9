// One Adam step of a network from what a backward pass leaves, fused with the gradients where
// nothing is added to them.
#pragma once

#include <functional>

#include "host/network/trace.h"

namespace patchforge {

struct OptimiserOptions {
    double learning_rate = 2e-4;
    double beta1 = 0.5;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double clip = 0;         // the weights stay in [-clip, clip]; 0: anywhere
    double weight_decay = 0; // lambda of lambda / 2 ||w||^2, added to the loss
    double history = 0;      // historical averaging: lambda ||w - mean of all w so far||^2 is added
                             // to the loss (Salimans et al. 2016)
    RateSchedule schedule{}; // in optimiser steps
};

class Optimiser {
  public:
    // `adds_terms`: step() will be given terms. The network must outlive the optimiser.
    Optimiser(Network& network, const OptimiserOptions& options, bool adds_terms);

    // Of a whole run, known when its length is.
    void schedule_rate(const RateSchedule& schedule) { options_.schedule = schedule; }

    // `pass` holds the gradient by the last layer's output. `terms` adds further gradients, laid
    // out as Network::all().
    void step(Trace& pass, StepCount count,
              const std::function<void(Vector<float> gradients)>& terms = {});

    Adam adam(StepCount count) const;
    bool fused() const { return gradients_.size() == 0; }
    // The mean of all weights so far; empty without historical averaging.
    DeviceArray<float>& mean() { return mean_; }
    const DeviceArray<float>& mean() const { return mean_; }

  private:
    Network& network_;
    OptimiserOptions options_;
    DeviceArray<float> gradients_; // empty: they go straight into Adam
    DeviceArray<float> mean_;
};

} // namespace patchforge
