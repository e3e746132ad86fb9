#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

constexpr int half = lanes / 2;

Doubles widen(const float* from, std::int64_t n) {
    HalfFloats v = {};
    if (n >= half) {
        __builtin_memcpy(&v, from, sizeof v);
    } else {
        for (std::int64_t i = 0; i < n; ++i) {
            v[i] = from[i];
        }
    }
    return __builtin_convertvector(v, Doubles);
}

double sum_of_lanes(Doubles v) {
    double total = 0;
    for (int i = 0; i < half; ++i) {
        total += v[i];
    }
    return total;
}

// Adds the sums of two terms to `sums`: terms(at, n, a, b) adds those of elements at ... at + n - 1 to
// the lanes of a and b, n <= half. Two pairs of accumulators, whole vectors turn by turn.
template <class Terms>
void add_two_sums(std::int64_t count, double* sums, const Terms& terms) {
    Doubles a0 = {}, a1 = {}, b0 = {}, b1 = {};
    std::int64_t i = 0;
    for (; i + 2 * half <= count; i += 2 * half) {
        terms(i, half, a0, b0);
        terms(i + half, half, a1, b1);
    }
    for (; i < count; i += half) {
        terms(i, count - i < half ? count - i : half, a0, b0);
    }
    sums[0] += sum_of_lanes(a0 + a1);
    sums[1] += sum_of_lanes(b0 + b1);
}

} // namespace

void moments(const float* x, std::int64_t count, float origin, double* sums) {
    const Doubles from = double{origin} - Doubles{};
    add_two_sums(count, sums, [=](std::int64_t at, std::int64_t n, Doubles& a, Doubles& b) {
        Doubles d = widen(x + at, n) - from;
        for (std::int64_t i = n; i < half; ++i) {
            d[i] = 0;
        }
        a += d;
        b += d * d;
    });
}

void moments_of_gradient(const float* dy, const float* x, std::int64_t count, float mean,
                         double* sums) {
    const Doubles from = double{mean} - Doubles{};
    add_two_sums(count, sums, [=](std::int64_t at, std::int64_t n, Doubles& a, Doubles& b) {
        const Doubles g = widen(dy + at, n); // 0 past the end
        a += g;
        b += g * (widen(x + at, n) - from);
    });
}

void standardise(float* y, const float* x, std::int64_t count, float mean, float factor,
                 float shift) {
    for (std::int64_t i = 0; i < count; i += lanes) {
        const std::int64_t n = count - i;
        store_up_to(y + i, (load_up_to(x + i, n) - mean) * factor + shift, n);
    }
}

void modulate(float* y, const float* x, const float* noise, std::int64_t count, float factor,
              float shift, float strength) {
    for (std::int64_t i = 0; i < count; i += lanes) {
        const std::int64_t n = count - i;
        Floats value = load_up_to(x + i, n) * factor + shift;
        if (noise) {
            value += load_up_to(noise + i, n) * strength;
        }
        store_up_to(y + i, value, n);
    }
}

void standardise_gradient(float* dx, const float* dy, const float* x, std::int64_t count,
                          float mean, float factor, float shift, float slope) {
    for (std::int64_t i = 0; i < count; i += lanes) {
        const std::int64_t n = count - i;
        const Floats deviation = load_up_to(x + i, n) - mean;
        store_up_to(dx + i, load_up_to(dy + i, n) * factor + (deviation * slope + shift), n);
    }
}

} // namespace patchforge::PATCHFORGE_ISA
