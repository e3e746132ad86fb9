// The two numbers of an Adam step that depend on t, once a step. Their powers of beta take
// 2 log2(t) float64 products one behind the other, which a thread of each kernel would wait for before
// its first result: some microseconds where float64 is quick, predicted, and far more on cards with
// one float64 unit for 64 of float32.
//
//     in a recording      worked out for its first iteration at every replay, before the graph, and for
//                         the next one by finish_iteration, which counts the step
//     outside             by a kernel of one block before the operation
#pragma once

#include "kernels/cuda/adam_constants.h"

namespace patchforge::cuda::adam_rates {

// base^exponent by squaring. The relative error grows like exponent * 2^-53: below 1e-9 for a
// million steps, where float32 keeps 6e-8.
__device__ inline double power(double base, std::uint64_t exponent) {
    double result = 1.0;
    for (; exponent != 0; exponent >>= 1) {
        if (exponent & 1) {
            result *= base;
        }
        base *= base;
    }
    return result;
}

__device__ inline AdamRates of(const Adam& adam, std::uint64_t steps_done) {
    const double correction1 = 1.0 - power(adam.beta1, steps_done + 1);
    const double correction2 = 1.0 - power(adam.beta2, steps_done + 1);
    return {static_cast<float>(adam.learning_rate * adam.schedule.share(steps_done) / correction1),
            static_cast<float>(1.0 / sqrt(correction2))};
}

} // namespace patchforge::cuda::adam_rates
