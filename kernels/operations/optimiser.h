// Adam (Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015), as PyTorch does it:
//     m = b1 m + (1 - b1) g          v = b2 v + (1 - b2) g^2
//     w = w - (lr / (1 - b1^t)) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
// t = step.value() + 1 is read from the device, so that a recorded iteration can be replayed;
// 1 - b^t is computed in float64.
#pragma once

#include "kernels/random.h"
#include "kernels/rate_schedule.h"
#include "kernels/views.h"

namespace patchforge {

struct Adam {
    float learning_rate = 2e-4f;
    float beta1 = 0.9f;
    float beta2 = 0.999f;
    float epsilon = 1e-8f;
    StepCount step{};
    RateSchedule schedule{}; // of the rate, over the steps done, step.value() = t - 1
    // After the update every value is clamped to [-clip, clip] (WGAN). 0: not clamped.
    float clip = 0;
};

// One tensor with its moments; all three have the same size.
struct AdamTensor {
    Vector<float> value;
    Vector<float> first_moment;
    Vector<float> second_moment;

    AdamTensor part(std::int64_t first, std::int64_t count) const {
        return {value.part(first, count), first_moment.part(first, count),
                second_moment.part(first, count)};
    }
};

// What an average keeps of itself: decay, or with a warm-up min(decay, (1 + t) / (10 + t)) at
// t = step.value(), so that the weights of the beginning are soon forgotten.
struct MovingAverage {
    float decay = 0.999f;
    bool warms_up = false;
    StepCount step{};

    PATCHFORGE_HOST_DEVICE float kept() const {
        // Float32 holds both terms and rounds their quotient once while t is below 2^24; later the
        // share that is left is smaller than any decay keeps.
        const std::uint64_t t = warms_up ? step.value() : 0;
        const float early = static_cast<float>(1 + t) / static_cast<float>(10 + t);
        return warms_up && early < decay ? early : decay;
    }
};

struct OptimiserOperations {
    virtual ~OptimiserOperations() = default;

    // One Adam step of every element of `tensor` along `gradient`. 28 bytes read or written an
    // element (read w, m, v, g; write w, m, v).
    virtual void adam(AdamTensor tensor, Vector<const float> gradient, const Adam& adam) = 0;

    // average = d * average + (1 - d) * value, d = rule.kept(): the exponential moving average of a
    // generator.
    virtual void moving_average(Vector<float> average, Vector<const float> value,
                                const MovingAverage& rule) = 0;
};

} // namespace patchforge
