// One Adam step of one parameter (kernels/operations/optimiser.h) with everything that all
// parameters share worked out once a thread. The powers of beta take 2 log2(t) float64 products,
// whose latency hides behind the loads of the moments.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/operations/optimiser.h"

namespace patchforge::cuda {

class AdamUpdate {
  public:
    __device__ explicit AdamUpdate(const Adam& adam)
        : beta1_(adam.beta1), beta2_(adam.beta2),
          rest1_(static_cast<float>(1.0 - static_cast<double>(adam.beta1))),
          rest2_(static_cast<float>(1.0 - static_cast<double>(adam.beta2))), epsilon_(adam.epsilon),
          clip_(adam.clip) {
        const std::uint64_t steps_done = adam.step.value();
        const double correction1 = 1.0 - power(adam.beta1, steps_done + 1);
        const double correction2 = 1.0 - power(adam.beta2, steps_done + 1);
        rate_ =
            static_cast<float>(adam.learning_rate * adam.schedule.share(steps_done) / correction1);
        root_scale_ = static_cast<float>(1.0 / sqrt(correction2));
    }

    __device__ void apply(float& value, float& first_moment, float& second_moment,
                          float gradient) const {
        first_moment = fmaf(beta1_, first_moment, rest1_ * gradient);
        second_moment = fmaf(beta2_, second_moment, rest2_ * gradient * gradient);
        const float root = fmaf(sqrtf(second_moment), root_scale_, epsilon_);
        value -= rate_ * (first_moment / root);
        if (clip_ > 0.0f) {
            value = value > clip_ ? clip_ : value < -clip_ ? -clip_ : value;
        }
    }

    __device__ void apply(float (&value)[4], float (&first_moment)[4], float (&second_moment)[4],
                          const float (&gradient)[4]) const {
        PATCHFORGE_UNROLL
        for (int i = 0; i < 4; ++i) {
            apply(value[i], first_moment[i], second_moment[i], gradient[i]);
        }
    }

  private:
    // base^exponent by squaring. The relative error grows like exponent * 2^-53: below 1e-9 for a
    // million steps, where float32 keeps 6e-8.
    __device__ static double power(double base, std::uint64_t exponent) {
        double result = 1.0;
        for (; exponent != 0; exponent >>= 1) {
            if (exponent & 1) {
                result *= base;
            }
            base *= base;
        }
        return result;
    }

    float beta1_, beta2_;
    float rest1_, rest2_; // 1 - beta
    float epsilon_, clip_;
    float rate_;       // learning rate / (1 - beta1^t)
    float root_scale_; // 1 / sqrt(1 - beta2^t)
};

} // namespace patchforge::cuda
