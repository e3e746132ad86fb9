#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

// Vectors whose terms are summed in single precision before they are added to sums in double precision:
// an error of at most 8 roundings, and a third of the work.
constexpr int vectors_of_chunk = 8;

// Sums of numbers of many magnitudes.
struct Sum {
    Doubles low = {}, high = {};

    void add(Floats v) {
        HalfFloats halves[2];
        __builtin_memcpy(halves, &v, sizeof v);
        low += __builtin_convertvector(halves[0], Doubles);
        high += __builtin_convertvector(halves[1], Doubles);
    }
    double total() const {
        const Doubles v = low + high;
        double total = 0;
        for (int i = 0; i < lanes / 2; ++i) {
            total += v[i];
        }
        return total;
    }
};

// Adds the sums of two terms to `sums`: terms(at, n, a, b) adds those of elements at ... at + n - 1 to
// a and b, n <= lanes.
template <class Terms>
void add_two_sums(std::int64_t count, double* sums, const Terms& terms) {
    Sum first, second;
    std::int64_t i = 0;
    for (; i + vectors_of_chunk * lanes <= count; i += vectors_of_chunk * lanes) {
        Floats a[2] = {}, b[2] = {};
#pragma GCC unroll 8
        for (int v = 0; v < vectors_of_chunk; ++v) {
            terms(i + v * lanes, lanes, a[v % 2], b[v % 2]);
        }
        first.add(a[0] + a[1]);
        second.add(b[0] + b[1]);
    }
    for (; i < count; i += lanes) {
        Floats a = {}, b = {};
        terms(i, count - i < lanes ? count - i : lanes, a, b);
        first.add(a);
        second.add(b);
    }
    sums[0] += first.total();
    sums[1] += second.total();
}

} // namespace

void moments(const float* x, std::int64_t count, float origin, double* sums) {
    add_two_sums(count, sums, [=](std::int64_t at, std::int64_t n, Floats& a, Floats& b) {
        const Floats d = zeros_from(load_up_to(x + at, n) - origin, n);
        a += d;
        b += d * d;
    });
}

void moments_of_gradient(const float* dy, const float* x, std::int64_t count, float mean,
                         double* sums) {
    add_two_sums(count, sums, [=](std::int64_t at, std::int64_t n, Floats& a, Floats& b) {
        const Floats g = load_up_to(dy + at, n); // 0 past the end
        a += g;
        b += g * (load_up_to(x + at, n) - mean);
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
