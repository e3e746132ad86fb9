// One Adam step of one vector of parameters (kernels/operations/optimiser.h has the formula).
#pragma once

#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {

static inline void adam_step(Floats& value, Floats& first_moment, Floats& second_moment,
                             Floats gradient, const AdamArguments& adam) {
    first_moment = adam.beta1 * first_moment + adam.rest1 * gradient;
    second_moment = adam.beta2 * second_moment + adam.rest2 * (gradient * gradient);
    const Floats divisor = square_root(second_moment) * adam.inverse_root_correction + adam.epsilon;
    value -= adam.step_size * first_moment / divisor;
    value = minimum(maximum(value, broadcast(-adam.clip)), broadcast(adam.clip));
}

// The same for up to one vector of parameters in memory.
static inline void adam_step_in_memory(float* value, float* first_moment, float* second_moment,
                                       Floats gradient, std::int64_t count,
                                       const AdamArguments& adam) {
    Floats w = load_up_to(value, count);
    Floats m = load_up_to(first_moment, count);
    Floats v = load_up_to(second_moment, count);
    adam_step(w, m, v, gradient, adam);
    store_up_to(value, w, count);
    store_up_to(first_moment, m, count);
    store_up_to(second_moment, v, count);
}

} // namespace patchforge::PATCHFORGE_ISA
