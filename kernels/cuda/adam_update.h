// One Adam step of one parameter (kernels/operations/optimiser.h), with everything that all
// parameters share worked out before: on the host what the options decide, on the device once a step
// what t decides (adam_rates.h). A kernel finds the latter in memory, beside its first loads; it has
// no float64.
#pragma once

#include "kernels/cuda/adam_constants.h"

namespace patchforge::cuda {

class AdamUpdate {
  public:
    __device__ explicit AdamUpdate(const AdamConstants& adam) : AdamUpdate(adam, *adam.rates) {}
    __device__ AdamUpdate(const AdamConstants& adam, const AdamRates& rates)
        : adam_(adam), rates_(rates) {}

    __device__ void apply(float& value, float& first_moment, float& second_moment,
                          float gradient) const {
        first_moment = fmaf(adam_.beta1, first_moment, adam_.rest1 * gradient);
        second_moment = fmaf(adam_.beta2, second_moment, adam_.rest2 * gradient * gradient);
        const float root = fmaf(sqrtf(second_moment), rates_.root_scale, adam_.epsilon);
        value -= rates_.rate * (first_moment / root);
        if (adam_.clip > 0.0f) {
            value = value > adam_.clip ? adam_.clip : value < -adam_.clip ? -adam_.clip : value;
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
    const AdamConstants& adam_; // a kernel's argument: read from there, not kept in registers
    AdamRates rates_;
};

} // namespace patchforge::cuda
