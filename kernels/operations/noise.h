// Random fills (kernels/random.h says which word belongs to which element).
#pragma once

#include "kernels/random.h"
#include "kernels/views.h"

namespace patchforge {

struct NoiseOperations {
    virtual ~NoiseOperations() = default;

    // out[e] = low + (high - low) * uniform_from_word(word e).
    virtual void fill_uniform(Vector<float> out, float low, float high,
                              const RandomStream& random) = 0;

    // Standard normal by Box-Muller, times deviation, plus mean: elements 2k and 2k + 1 come from
    // words 2k and 2k + 1: r = sqrt(-2 ln u1), angle = 2 pi u2, r sin(angle) and r cos(angle), as
    // cuRAND pairs them.
    virtual void fill_normal(Vector<float> out, float mean, float deviation,
                             const RandomStream& random) = 0;

    virtual void fill(Vector<float> out, float value) = 0;
};

} // namespace patchforge
