// The moving average of a network's weights, which samples come from in place of the last ones.
#pragma once

#include <memory>

#include "host/network/network.h"

namespace patchforge {

class Average {
  public:
    // Follows `network` from its present weights on; a decay of 0 keeps no average. With a warm-up
    // the decay grows to that with the steps done (kernels/operations/optimiser.h).
    Average(Network& network, double decay, bool warms_up = false);

    explicit operator bool() const { return average_ != nullptr; }
    // The average, or the network itself where none is kept.
    Network& network() { return average_ ? *average_ : network_; }
    const Network& network() const { return average_ ? *average_ : network_; }

    // average = decay * average + (1 - decay) * network: once an iteration.
    void follow(StepCount step = {});
    // Takes the network's weights (and statistics) as they are.
    void restart();

  private:
    Network& network_;
    MovingAverage rule_;
    std::unique_ptr<Network> average_;
};

} // namespace patchforge
