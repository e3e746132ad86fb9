#include "host/train/optimiser.h"

namespace patchforge {

Optimiser::Optimiser(Network& network, const OptimiserOptions& options, bool adds_terms)
    : network_(network), options_(options) {
    const std::int64_t size = network.all().value.size;
    if (adds_terms || options.history > 0 || options.weight_decay > 0 || !network.plain()) {
        gradients_ = DeviceArray<float>(network.backend(), size);
    }
    if (options.history > 0) {
        mean_ = DeviceArray<float>(network.backend(), size);
    }
}

Adam Optimiser::adam(StepCount count) const {
    Adam adam;
    adam.learning_rate = static_cast<float>(options_.learning_rate);
    adam.beta1 = static_cast<float>(options_.beta1);
    adam.beta2 = static_cast<float>(options_.beta2);
    adam.epsilon = static_cast<float>(options_.epsilon);
    adam.clip = static_cast<float>(options_.clip);
    adam.step = count;
    adam.schedule = options_.schedule;
    return adam;
}

void Optimiser::step(Trace& pass, StepCount count,
                     const std::function<void(Vector<float> gradients)>& terms) {
    if (fused()) {
        pass.backward_update(network_, adam(count));
        return;
    }
    Backend& backend = network_.backend();
    const Vector<float> gradients = gradients_.view();
    pass.backward_gradients(gradients, false);
    if (terms) {
        terms(gradients);
    }
    // Here is the one place where gradients of several processes would be summed.
    const AdamTensor all = network_.all();
    if (options_.weight_decay > 0) {
        backend.weighted_sum(gradients, gradients, 1, all.value,
                             static_cast<float>(options_.weight_decay), {}, 0);
    }
    if (mean_.size() > 0) {
        const auto twice = static_cast<float>(2 * options_.history);
        backend.running_mean(mean_.view(), all.value, count);
        backend.weighted_sum(gradients, gradients, 1, all.value, twice, mean_.view(), -twice);
    }
    backend.adam(all, gradients, adam(count));
}

} // namespace patchforge
