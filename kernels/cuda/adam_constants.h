// What kernels are told of Adam: what the options decide, and where they find what t decides.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/operations/optimiser.h"

namespace patchforge::cuda {

// What t decides.
struct AdamRates {
    float rate;       // learning rate / (1 - beta1^t)
    float root_scale; // 1 / sqrt(1 - beta2^t)
};

// What an Adam step is to a kernel.
struct AdamConstants {
    float beta1, beta2;
    float rest1, rest2; // 1 - beta
    float epsilon, clip;
    const AdamRates* rates;
};

PATCHFORGE_HOST_DEVICE inline AdamConstants adam_constants(const Adam& adam,
                                                           const AdamRates* rates) {
    const auto rest = [](float beta) {
        return static_cast<float>(1.0 - static_cast<double>(beta));
    };
    return {adam.beta1, adam.beta2, rest(adam.beta1), rest(adam.beta2), adam.epsilon,
            adam.clip,  rates};
}

constexpr int most_adam_rates = 16; // kept for a recording: optimisers times their steps in it

// The optimisers whose rates lie in a row of AdamRates on the device. An argument of kernels.
struct AdamList {
    Adam adam[most_adam_rates];
    int count = 0;
};

// adam.cu: rates[i] = those of list.adam[i] at its step.
void launch_adam_rates(AdamRates* rates, const AdamList& list, const Stream& stream);

} // namespace patchforge::cuda
