#include "host/train/average.h"

#include "host/files/safetensors.h"

namespace patchforge {

Average::Average(Network& network, double decay, bool warms_up)
    : network_(network), rule_{static_cast<float>(decay), warms_up, {}} {
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

void Average::follow(StepCount step) {
    if (average_) {
        rule_.step = step;
        network_.backend().moving_average(average_->state(), network_.state(), rule_);
        // The mean of unit vectors is none: those of the weights now are close to the average's.
        const Vector<float> vectors = network_.singular_vectors();
        if (!vectors.empty()) {
            network_.backend().copy(average_->singular_vectors().data, vectors.data,
                                    static_cast<std::size_t>(vectors.size) * sizeof(float));
        }
    }
}

} // namespace patchforge
