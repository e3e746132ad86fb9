// What becomes of a weight gradient once a kernel has it in registers: it is stored, or it moves
// the weights by a step of Adam and is forgotten. The backward kernels take one of these as a
// template argument. Work happens on quads of weights: `begin` loads what the update needs, long
// before the gradient is there, and `finish` takes the gradient.
#pragma once

#include "kernels/cuda/adam_update.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {

// No weight gradient is wanted; `begin` loads the weights for the input gradient.
struct NoUpdate {
    static constexpr bool wants_gradient = false;

    const float* weight;

    struct Thread {
        struct Quad {
            float value[4];
        };
        const NoUpdate& update;

        __device__ explicit Thread(const NoUpdate& update_) : update(update_) {}

        template <bool vectors>
        __device__ void begin(Quad& quad, std::int64_t first, std::int64_t available) const {
            load_quad<vectors>(quad.value, update.weight + first, available);
        }
    };
};

// d_weight = gradient, or += with `accumulate`; d_bias likewise, unless null.
struct StoreGradient {
    static constexpr bool wants_gradient = true;

    float* d_weight;
    float* d_bias;
    bool accumulate;

    struct Thread {
        struct Quad {
            float value[4];
        };
        const StoreGradient& update;

        __device__ explicit Thread(const StoreGradient& update_) : update(update_) {}

        template <bool vectors>
        __device__ void begin(Quad& quad, std::int64_t first, std::int64_t available) const {
            load_quad<vectors>(quad.value, update.d_weight + first,
                               update.accumulate ? available : 0);
        }

        template <bool vectors>
        __device__ void finish(Quad& quad, const float (&gradient)[4], std::int64_t first,
                               std::int64_t available) const {
            PATCHFORGE_UNROLL
            for (int i = 0; i < 4; ++i) {
                quad.value[i] += gradient[i];
            }
            store_quad<vectors>(update.d_weight + first, quad.value, available);
        }

        __device__ void finish_bias(float gradient, std::int64_t output) const {
            if (update.d_bias != nullptr) {
                const float before = update.accumulate ? update.d_bias[output] : 0.0f;
                update.d_bias[output] = before + gradient;
            }
        }
    };
};

// One step of Adam: reads and writes the value and both moments, 24 bytes a weight. The moments are
// marked to leave the caches first, the weights to stay: the next forward pass reads them.
struct AdamStep {
    static constexpr bool wants_gradient = true;

    AdamTensor weight;
    AdamTensor bias; // may be empty
    AdamConstants adam;

    struct Thread {
        struct Quad {
            float value[4], first_moment[4], second_moment[4];
        };
        const AdamStep& update;
        AdamUpdate step;

        __device__ explicit Thread(const AdamStep& update_) : update(update_), step(update_.adam) {}

        template <bool vectors>
        __device__ void begin(Quad& quad, std::int64_t first, std::int64_t available) const {
            const AdamTensor& tensor = update.weight;
            load_quad<vectors>(quad.value, tensor.value.data + first, available);
            load_quad<vectors, Reuse::none>(quad.first_moment, tensor.first_moment.data + first,
                                            available);
            load_quad<vectors, Reuse::none>(quad.second_moment, tensor.second_moment.data + first,
                                            available);
        }

        template <bool vectors>
        __device__ void finish(Quad& quad, const float (&gradient)[4], std::int64_t first,
                               std::int64_t available) const {
            const AdamTensor& tensor = update.weight;
            step.apply(quad.value, quad.first_moment, quad.second_moment, gradient);
            store_quad<vectors>(tensor.value.data + first, quad.value, available);
            store_quad<vectors, Reuse::none>(tensor.first_moment.data + first, quad.first_moment,
                                             available);
            store_quad<vectors, Reuse::none>(tensor.second_moment.data + first, quad.second_moment,
                                             available);
        }

        __device__ void finish_bias(float gradient, std::int64_t output) const {
            const AdamTensor& tensor = update.bias;
            if (tensor.value.size != 0) {
                step.apply(tensor.value.data[output], tensor.first_moment.data[output],
                           tensor.second_moment.data[output], gradient);
            }
        }
    };
};

} // namespace patchforge::cuda
