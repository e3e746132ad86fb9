// Bounds of the L-infinity ball within the box [0, 1], shared by the backends so that they give the
// same bits. x0 in [0, 1], eps >= 0.
//
// float32 rounds x0 + eps, perhaps outwards. Knuth's two-sum gives that rounding exactly (The Art
// of Computer Programming 2, 4.2.2, theorem B): where the rounded sum lies outside, its neighbour
// inside is taken. For x0 and eps of at least 2^-100 or 0, |bound - x0| <= eps then holds for the
// real numbers.
#pragma once

#include "kernels/random.h"

namespace patchforge {

struct BallBounds {
    float low;
    float high;
};

// v with `change` added to its bits: the next number for a positive v and change = +-1.
PATCHFORGE_HOST_DEVICE inline float with_bits_changed(float v, std::int32_t change) {
    std::int32_t bits;
    __builtin_memcpy(&bits, &v, sizeof bits);
    bits += change;
    __builtin_memcpy(&v, &bits, sizeof bits);
    return v;
}

PATCHFORGE_HOST_DEVICE inline BallBounds ball_bounds(float x0, float epsilon) {
    const float sum = x0 + epsilon;
    const float sum_part = sum - x0;
    const float sum_error = (x0 - (sum - sum_part)) + (epsilon - sum_part);
    const float high = with_bits_changed(sum, sum_error < 0.0f ? -1 : 0);

    const float difference = x0 - epsilon;
    const float difference_part = difference - x0;
    const float difference_error =
        (x0 - (difference - difference_part)) - (epsilon + difference_part);
    const float low = with_bits_changed(difference, difference_error > 0.0f ? 1 : 0);

    // A difference below 0 is cut here, so the change of its bits does not matter.
    return {difference > 0.0f ? low : 0.0f, high < 1.0f ? high : 1.0f};
}

// x0 + t for x0 and x0 + t in [0, 1], rounded towards x0: never further away than |t|.
PATCHFORGE_HOST_DEVICE inline float add_towards(float x0, float t) {
    const float sum = x0 + t;
    const float part = sum - x0;
    const float error = (x0 - (sum - part)) + (t - part);
    // Without branches: signs of t and of the error are random, and half of the guesses would fail.
    const std::int32_t down = (t > 0.0f) & (error < 0.0f);
    const std::int32_t up = (t < 0.0f) & (error > 0.0f);
    return with_bits_changed(sum, up - down);
}

// sign(d), with sign(0) = sign(NaN) = 0.
PATCHFORGE_HOST_DEVICE inline float sign_of(float d) {
    return static_cast<float>((d > 0.0f) - (d < 0.0f));
}

PATCHFORGE_HOST_DEVICE inline bool is_finite(float v) {
    return v - v == 0.0f;
}

// How far inside a radial projection ends: eps * (1 - 2^-20) outweighs the rounding of s and s d.
constexpr double radial_margin = 1 - 0x1p-20;

// Slack of rounding onto the grid, in grey levels.
constexpr float grid_slack = 1e-3f;

} // namespace patchforge
