#include "kernels/cpu/vector/functions.h"
#include "kernels/cpu/vector/simd.h"

namespace patchforge::PATCHFORGE_ISA {
namespace {

constexpr int accumulators = 4;
constexpr int half = lanes / 2;
constexpr std::int64_t block = 1024;

// Sum of x, or of x^2: element i goes to lane i % (accumulators * half), and the lanes are added in
// order.
template <bool squared>
double reduce_block(const float* x, std::int64_t count) {
    Doubles total[accumulators] = {};
    for (std::int64_t i = 0; i < count; i += accumulators * half) {
        for (int a = 0; a < accumulators; ++a) {
            const std::int64_t at = i + a * half;
            HalfFloats v = {};
            if (at + half <= count) {
                __builtin_memcpy(&v, x + at, sizeof v);
            } else {
                for (int j = 0; j < half && at + j < count; ++j) {
                    v[j] = x[at + j];
                }
            }
            const Doubles d = __builtin_convertvector(v, Doubles);
            total[a] += squared ? d * d : d;
        }
    }
    double result = 0;
    for (const Doubles& part : total) {
        for (int j = 0; j < half; ++j) {
            result += part[j];
        }
    }
    return result;
}

// Blocks are added pairwise, as a tree, so that the error grows with the logarithm of their number.
template <bool squared>
double reduce(const float* x, std::int64_t count) {
    if (count <= block) {
        return reduce_block<squared>(x, count);
    }
    const std::int64_t first = (count / block + 1) / 2 * block;
    return reduce<squared>(x, first) + reduce<squared>(x + first, count - first);
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
