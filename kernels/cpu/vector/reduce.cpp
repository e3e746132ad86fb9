#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

constexpr int accumulators = 4;

// sum of x, or of x^2: element i goes to float64 accumulator i % (2 * lanes); those are added in order.
template <bool squared>
double reduce(const float* x, std::int64_t count) {
    Doubles total[accumulators] = {};
    const auto add = [&](std::int64_t half, HalfFloats v) {
        const Doubles d = __builtin_convertvector(v, Doubles);
        total[half] += squared ? d * d : d;
    };
    constexpr int half = lanes / 2;
    std::int64_t i = 0;
    for (; i + accumulators * half <= count; i += accumulators * half) {
        for (int a = 0; a < accumulators; ++a) {
            HalfFloats v;
            __builtin_memcpy(&v, x + i + a * half, sizeof v);
            add(a, v);
        }
    }
    for (std::int64_t a = 0; i < count; i += half, ++a) {
        HalfFloats v = {};
        for (int j = 0; j < half && i + j < count; ++j) {
            v[j] = x[i + j];
        }
        add(a, v);
    }
    double result = 0;
    for (const Doubles& part : total) {
        for (int j = 0; j < half; ++j) {
            result += part[j];
        }
    }
    return result;
}

} // namespace

double sum(const float* x, std::int64_t count) {
    return reduce<false>(x, count);
}

double sum_of_squares(const float* x, std::int64_t count) {
    return reduce<true>(x, count);
}

void column_sums(float* out, const float* a, std::int64_t a_stride, std::int64_t rows,
                 std::int64_t columns, bool accumulate) {
    for (std::int64_t column = 0; column < columns; column += lanes) {
        const std::int64_t n = columns - column;
        Floats total = {};
        for (std::int64_t r = 0; r < rows; ++r) {
            total += load_up_to(a + r * a_stride + column, n);
        }
        if (accumulate) {
            total += load_up_to(out + column, n);
        }
        store_up_to(out + column, total, n);
    }
}

} // namespace patchforge::PATCHFORGE_ISA
