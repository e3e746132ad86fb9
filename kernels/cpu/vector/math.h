// exp, log, tanh and the sine and cosine of a turn on vectors: polynomials of Cephes (Moshier,
// "Methods and programs for mathematical functions", 1989; netlib.org/cephes, single precision).
// Each is within 2 units in the last place of the true value where it says nothing else.
#pragma once

#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {

// Adding 1.5 * 2^23 rounds to the nearest whole number and leaves it in the low bits.
constexpr float rounding_shift = 12582912.0f;

// Arguments are clamped to [-87, 88]: results stay normal numbers, and 1 / (1 + exp) still ends
// within 1e-38 of its limit.
static inline Floats exponential(Floats x) {
    x = minimum(maximum(x, broadcast(-87.0f)), broadcast(88.0f));
    const Floats shifted = x * 1.44269504088896341f + rounding_shift;
    const Floats n = shifted - rounding_shift;
    const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const Floats mantissa = (p * (r * r) + r) + 1.0f;
    const Ints exponent =
        (reinterpret_cast<Ints>(shifted) - reinterpret_cast<Ints>(broadcast(rounding_shift))) << 23;
    return reinterpret_cast<Floats>(reinterpret_cast<Ints>(mantissa) + exponent);
}

// x > 0 and normal.
static inline Floats logarithm(Floats x) {
    // Mantissa in [sqrt(1/2), sqrt(2)), so that the result near x = 1 has no cancellation.
    const Ints bits = reinterpret_cast<Ints>(x) - 0x3f3504f3;
    const Floats e = __builtin_convertvector(bits >> 23, Floats);
    const Floats m = reinterpret_cast<Floats>((bits & 0x007fffff) + 0x3f3504f3) - 1.0f;
    const Floats z = m * m;
    Floats p = m * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    Floats y = p * m * z;
    y = y - e * 2.12194440e-4f;
    y = y - z * 0.5f;
    return (m + y) + e * 0.693359375f;
}

static inline Floats hyperbolic_tangent(Floats x) {
    const Floats size = reinterpret_cast<Floats>(reinterpret_cast<Ints>(x) & 0x7fffffff);
    const Floats z = x * x;
    Floats p = z * -5.70498872745e-3f + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    const Floats near_zero = (p * z) * x + x;
    const Floats e = exponential(minimum(size, broadcast(10.0f)) * 2.0f);
    const Floats far = 1.0f - 2.0f / (e + 1.0f);
    const Floats signed_far = reinterpret_cast<Floats>(
        reinterpret_cast<Ints>(far) | (reinterpret_cast<Ints>(x) & static_cast<int>(0x80000000u)));
    return size < 0.625f ? near_zero : signed_far;
}

// Within 3 units in the last place: the quotient rounds once more.
static inline Floats logistic(Floats x) {
    return 1.0f / (1.0f + exponential(-x));
}

// sine and cosine of 2 pi u, u in [0, 1]. The quarter turn is split off exactly, so the result is
// as good near a whole turn as near 0.
static inline void sine_cosine_of_turn(Floats u, Floats& sine, Floats& cosine) {
    const Floats quarters = u * 4.0f;
    const Floats shifted = quarters + rounding_shift;
    const Ints quadrant = reinterpret_cast<Ints>(shifted);
    const Floats x = (quarters - (shifted - rounding_shift)) * 1.57079632679489662f;
    const Floats z = x * x;
    Floats s = z * -1.9515295891e-4f + 8.3321608736e-3f;
    s = s * z - 1.6666654611e-1f;
    s = (s * z) * x + x;
    Floats c = z * 2.443315711809948e-5f - 1.388731625493765e-3f;
    c = c * z + 4.166664568298827e-2f;
    c = (c * z * z - 0.5f * z) + 1.0f;
    const Ints swapped = (quadrant & 1) != 0;
    const Floats first = swapped ? c : s;
    const Floats second = swapped ? s : c;
    const Ints sine_sign = (quadrant & 2) << 30;
    const Ints cosine_sign = ((quadrant + 1) & 2) << 30;
    sine = reinterpret_cast<Floats>(reinterpret_cast<Ints>(first) ^ sine_sign);
    cosine = reinterpret_cast<Floats>(reinterpret_cast<Ints>(second) ^ cosine_sign);
}

} // namespace patchforge::PATCHFORGE_ISA
