#include "host/train/average.h"

#include "host/files/safetensors.h"

namespace patchforge {

Average::Average(Network& network, double decay) : network_(network), decay_(decay) {
    if (decay > 0) {
        average_ = std::make_unique<Network>(network.backend(), network.shape());
        restart();
    }
}

void Average::restart() {
    if (average_) {
        average_->load_weights(network_.weights(), "the averaged network");
    }
}

void Average::follow() {
    if (average_) {
        network_.backend().moving_average(average_->state(), network_.state(),
                                          static_cast<float>(decay_));
    }
}

} // namespace patchforge
