#include "kernels/cpu/vector/adam_step.h"
#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/math.h"
#include "kernels/cpu/vector/philox.h"
#include "kernels/operations/activation.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

// Elements that are worked on with one draw of dropout's words.
constexpr int span = drawn_words;

// keep[i] = all bits set where element first + i is kept. `first` is any element: the words of a
// counter begin at multiples of four, so one more draw covers what sticks out.
void draw_kept(const EpilogueArguments& epilogue, std::uint64_t first, std::int32_t* keep) {
    const Words threshold = epilogue.threshold - Words{};
    const std::uint64_t skipped = first % 4;
    const int draws = skipped == 0 ? 1 : 2;
    alignas(64) std::int32_t kept[2 * drawn_words];
    for (int draw = 0; draw < draws; ++draw) {
        Words words[2];
        draw_words(epilogue.random, first / 4 + static_cast<std::uint64_t>(draw * drawn_words / 4),
                   words[0], words[1]);
        for (int half = 0; half < 2; ++half) {
            const Ints mask = words[half] >= threshold;
            __builtin_memcpy(kept + draw * drawn_words + half * lanes, &mask, sizeof mask);
        }
    }
    __builtin_memcpy(keep, kept + skipped, span * sizeof(std::int32_t));
}

Ints load_mask(const std::int32_t* from) {
    Ints mask;
    __builtin_memcpy(&mask, from, sizeof mask);
    return mask;
}

template <Activation activation>
Floats apply(Floats z, float slope) {
    if constexpr (activation == Activation::relu) {
        return maximum(z, Floats{});
    } else if constexpr (activation == Activation::leaky_relu) {
        return z > 0.0f ? z : z * slope;
    } else if constexpr (activation == Activation::tanh) {
        return hyperbolic_tangent(z);
    } else if constexpr (activation == Activation::sigmoid) {
        return logistic(z);
    } else {
        return z;
    }
}

// The derivative from the activation's output y.
template <Activation activation>
Floats derivative(Floats y, float slope) {
    const Floats one = broadcast(1.0f);
    if constexpr (activation == Activation::relu) {
        return y > 0.0f ? one : Floats{};
    } else if constexpr (activation == Activation::leaky_relu) {
        return y > 0.0f ? one : broadcast(slope);
    } else if constexpr (activation == Activation::tanh) {
        return one - y * y;
    } else if constexpr (activation == Activation::sigmoid) {
        return y * (one - y);
    } else {
        return one;
    }
}

template <Activation activation>
void activate_with(float* y, const float* z, const float* bias, std::int64_t count,
                   std::uint64_t first, const EpilogueArguments& epilogue) {
    alignas(64) std::int32_t keep[span];
    for (std::int64_t at = 0; at < count; at += span) {
        if (epilogue.dropout) {
            draw_kept(epilogue, first + static_cast<std::uint64_t>(at), keep);
        }
        for (int half = 0; half < 2; ++half) {
            const std::int64_t i = at + half * lanes;
            const std::int64_t n = count - i;
            if (n <= 0) {
                return;
            }
            Floats value = load_up_to(z + i, n);
            if (bias) {
                value += load_up_to(bias + i, n);
            }
            value = apply<activation>(value, epilogue.slope);
            if (epilogue.dropout) {
                value = load_mask(keep + half * lanes) ? value * epilogue.kept_factor : Floats{};
            }
            store_up_to(y + i, value, n);
        }
    }
}

template <Activation activation>
void gradient_with(float* dz, const float* dy, const float* y, std::int64_t count,
                   std::uint64_t first, const EpilogueArguments& epilogue) {
    alignas(64) std::int32_t keep[span];
    for (std::int64_t at = 0; at < count; at += span) {
        if (epilogue.dropout) {
            draw_kept(epilogue, first + static_cast<std::uint64_t>(at), keep);
        }
        for (int half = 0; half < 2; ++half) {
            const std::int64_t i = at + half * lanes;
            const std::int64_t n = count - i;
            if (n <= 0) {
                return;
            }
            Floats value = load_up_to(dy + i, n);
            if constexpr (activation != Activation::identity) {
                // Without dropout kept_share is 1.
                value *= derivative<activation>(load_up_to(y + i, n) * epilogue.kept_share,
                                                epilogue.slope);
            }
            if (epilogue.dropout) {
                value = load_mask(keep + half * lanes) ? value * epilogue.kept_factor : Floats{};
            }
            store_up_to(dz + i, value, n);
        }
    }
}

} // namespace

void activate(float* y, const float* z, const float* bias, std::int64_t count, std::uint64_t first,
              const EpilogueArguments& epilogue) {
    constexpr decltype(VectorKernels::activate) by_activation[] = {
        activate_with<Activation::identity>, activate_with<Activation::relu>,
        activate_with<Activation::leaky_relu>, activate_with<Activation::tanh>,
        activate_with<Activation::sigmoid>};
    by_activation[epilogue.activation](y, z, bias, count, first, epilogue);
}

void activation_gradient(float* dz, const float* dy, const float* y, std::int64_t count,
                         std::uint64_t first, const EpilogueArguments& epilogue) {
    constexpr decltype(VectorKernels::activation_gradient) by_activation[] = {
        gradient_with<Activation::identity>, gradient_with<Activation::relu>,
        gradient_with<Activation::leaky_relu>, gradient_with<Activation::tanh>,
        gradient_with<Activation::sigmoid>};
    by_activation[epilogue.activation](dz, dy, y, count, first, epilogue);
}

void adam(float* value, float* first_moment, float* second_moment, const float* gradient,
          std::int64_t count, const AdamArguments& adam) {
    for (std::int64_t i = 0; i < count; i += lanes) {
        adam_step_in_memory(value + i, first_moment + i, second_moment + i,
                            load_up_to(gradient + i, count - i), count - i, adam);
    }
}

void moving_average(float* to, const float* from, std::int64_t count, float decay) {
    for (std::int64_t i = 0; i < count; i += lanes) {
        const std::int64_t n = count - i;
        store_up_to(to + i,
                    load_up_to(to + i, n) * decay + load_up_to(from + i, n) * (1.0f - decay), n);
    }
}

void scale_bytes(float* out, const std::uint8_t* in, std::int64_t count, float factor,
                 float offset) {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        typedef std::uint8_t Bytes __attribute__((vector_size(lanes)));
        Bytes bytes;
        __builtin_memcpy(&bytes, in + i, sizeof bytes);
        const Floats value = __builtin_convertvector(__builtin_convertvector(bytes, Ints), Floats);
        // A division, not a product with 1/255: 255 then becomes exactly 1.
        store(out + i, value / 255.0f * factor + offset);
    }
    for (; i < count; ++i) {
        out[i] = static_cast<float>(in[i]) / 255.0f * factor + offset;
    }
}

void affine(float* y, const float* x, std::int64_t count, float scale, float shift) {
    for (std::int64_t i = 0; i < count; i += lanes) {
        store_up_to(y + i, load_up_to(x + i, count - i) * scale + shift, count - i);
    }
}

// The commonest step of attacks, FGSM's and PGD's. The bounds are ball_bounds() of
// kernels/perturb_ball.h, lane by lane: a mask is -1 where it holds, so adding it to the bits of a
// positive number takes the number below, subtracting it the one above.
void sign_step(float* y, const float* x, const float* direction, const float* origin,
               std::int64_t count, float alpha, float epsilon) {
    for (std::int64_t i = 0; i < count; i += lanes) {
        const std::int64_t n = count - i;
        const Floats x0 = load_up_to(origin + i, n);
        const Floats sum = x0 + epsilon;
        const Floats sum_part = sum - x0;
        const Floats sum_error = (x0 - (sum - sum_part)) + (epsilon - sum_part);
        Floats high = reinterpret_cast<Floats>(reinterpret_cast<Ints>(sum) + (sum_error < 0.0f));
        high = high < 1.0f ? high : broadcast(1.0f);

        const Floats difference = x0 - epsilon;
        const Floats difference_part = difference - x0;
        const Floats difference_error =
            (x0 - (difference - difference_part)) - (epsilon + difference_part);
        const Floats above = reinterpret_cast<Floats>(reinterpret_cast<Ints>(difference) -
                                                      (difference_error > 0.0f));
        const Floats low = difference > 0.0f ? above : Floats{};

        const Floats d = load_up_to(direction + i, n);
        const Floats sign = __builtin_convertvector((d < 0.0f) - (d > 0.0f), Floats);
        Floats v = load_up_to(x + i, n) + sign * alpha;
        v = v - v == 0.0f ? v : x0; // not finite
        v = v < low ? low : v;
        store_up_to(y + i, v > high ? high : v, n);
    }
}

} // namespace patchforge::PATCHFORGE_ISA
