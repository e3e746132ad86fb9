// Faults of fragments: registers of a matrix product in the wrong place, operands in the wrong
// rounding.
#include "tests/simt/planted/planted.h"

#include <simt_instructions.h>

#include <bit>

namespace planted {

namespace {

using patchforge::cuda::LaunchShape;
using patchforge::cuda::shared;

constexpr int m = 16, n = 8;

// Numbers with 24 significant bits: tf32 keeps 11 of them.
std::vector<float> thirds(std::size_t count) {
    auto values = integers(count);
    for (float& value : values) {
        value /= 3.0f;
    }
    return values;
}

std::vector<float> product(int k, const std::vector<float>& a, const std::vector<float>& b) {
    std::vector<float> d(m * n);
    for (int row = 0; row < m; ++row) {
        for (int column = 0; column < n; ++column) {
            double sum = 0.0;
            for (int inner = 0; inner < k; ++inner) {
                sum += double{a[row * k + inner]} * double{b[inner * n + column]};
            }
            d[row * n + column] = static_cast<float>(sum);
        }
    }
    return d;
}

// The nearest number with 10 bits of mantissa after the leading one.
float to_tf32(float value) {
    return std::bit_cast<float>((std::bit_cast<std::uint32_t>(value) + 0x1000u) & ~0x1fffu);
}

__device__ void store_fragment(float* out, const float (&d)[4]) {
    const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
    for (unsigned i = 0; i < 4; ++i) {
        out[(g + 8 * (i / 2)) * n + 2 * t + i % 2] = d[i];
    }
}

enum class Tf32Fault { none, rows_for_columns, not_rounded };

template <Tf32Fault fault>
__global__ void tf32_product(float* out, const float* a, const float* b) {
    const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
    const auto cvt = [](float value) {
        return fault == Tf32Fault::not_rounded ? __float_as_uint(value)
                                               : simt::tf32_from_float(value);
    };
    std::uint32_t of_a[4] = {cvt(a[g * 8 + t]), cvt(a[(g + 8) * 8 + t]), cvt(a[g * 8 + t + 4]),
                             cvt(a[(g + 8) * 8 + t + 4])};
    if constexpr (fault == Tf32Fault::rows_for_columns) {
        const std::uint32_t second = of_a[1];
        of_a[1] = of_a[2];
        of_a[2] = second;
    }
    const std::uint32_t of_b[2] = {cvt(b[t * n + g]), cvt(b[(t + 4) * n + g])};
    float d[4] = {};
    simt::mma_m16n8k8_tf32(d, of_a, of_b);
    store_fragment(out, d);
}
template <Tf32Fault fault>
std::vector<float> run_tf32(bool faulty) {
    Array a(thirds(m * 8)), b(thirds(8 * n)), out(m * n);
    patchforge::cuda::launch(faulty ? tf32_product<fault> : tf32_product<Tf32Fault::none>,
                             {.grid = dim3(1), .block = 32, .name = "tf32_product"}, out.data(),
                             a.data(), b.data());
    return out.values();
}
std::vector<float> tf32_expected() {
    auto a = thirds(m * 8), b = thirds(8 * n);
    for (auto* operand : {&a, &b}) {
        for (float& value : *operand) {
            value = to_tf32(value);
        }
    }
    return product(8, a, b);
}

// Small integers are exact in bfloat16.
__device__ std::uint32_t pair(float low, float high) {
    return (__float_as_uint(low) >> 16) | (__float_as_uint(high) & 0xffff0000u);
}

struct Operands {
    alignas(16) std::uint16_t a[16 * 16];
};

enum class Bf16Fault { none, halves_swapped, not_transposed, other_order_of_k };

// A comes from shared memory by ldmatrix, where it lies transposed; B from global memory.
template <Bf16Fault fault>
__global__ void bf16_product(float* out, const float* a, const float* b) {
    auto& s = shared<Operands>();
    const unsigned lane = threadIdx.x, g = lane / 4, t = lane % 4;
    for (unsigned i = lane; i < 256; i += 32) {
        s.a[i % 16 * 16 + i / 16] = static_cast<std::uint16_t>(__float_as_uint(a[i]) >> 16);
    }
    __syncwarp();
    // Matrices 0 to 3 are the quarters (rows, columns) = (0, 0), (8, 0), (0, 8), (8, 8) of A.
    const unsigned matrix = lane / 8, row = matrix / 2 * 8 + lane % 8, column = matrix % 2 * 8;
    std::uint32_t of_a[4];
    simt::ldmatrix_x4(of_a, &s.a[row * 16 + column], fault != Bf16Fault::not_transposed);
    const auto of = [&](unsigned k) { return b[k * n + g]; };
    std::uint32_t of_b[2] = {pair(of(2 * t), of(2 * t + 1)), pair(of(2 * t + 8), of(2 * t + 9))};
    if constexpr (fault == Bf16Fault::halves_swapped) {
        of_b[0] = pair(of(2 * t + 1), of(2 * t));
    }
    // A product may take its steps in any order, but both operands in the same.
    if constexpr (fault == Bf16Fault::other_order_of_k) {
        of_b[0] = pair(of(t), of(t + 4));
        of_b[1] = pair(of(t + 8), of(t + 12));
    }
    float d[4] = {};
    simt::mma_m16n8k16_bf16(d, of_a, of_b);
    store_fragment(out, d);
}
template <Bf16Fault fault>
std::vector<float> run_bf16(bool faulty) {
    Array a(integers(m * 16)), b(integers(16 * n)), out(m * n);
    patchforge::cuda::launch(
        faulty ? bf16_product<fault> : bf16_product<Bf16Fault::none>,
        {.grid = dim3(1), .block = 32, .shared_bytes = sizeof(Operands), .name = "bf16_product"},
        out.data(), a.data(), b.data());
    return out.values();
}
std::vector<float> bf16_expected() {
    return product(16, integers(m * 16), integers(16 * n));
}

} // namespace

std::vector<Bug> tensor_core_bugs() {
    return {
        {"wrong_fragment_map", Sign::wrong_result, Plain::caught,
         run_tf32<Tf32Fault::rows_for_columns>, tf32_expected},
        {"tf32_without_rounding", Sign::wrong_result, Plain::caught,
         run_tf32<Tf32Fault::not_rounded>, tf32_expected},
        {"bf16_halves_swapped", Sign::wrong_result, Plain::caught,
         run_bf16<Bf16Fault::halves_swapped>, bf16_expected},
        {"operands_disagree_on_k", Sign::wrong_result, Plain::caught,
         run_bf16<Bf16Fault::other_order_of_k>, bf16_expected},
        {"ldmatrix_not_transposed", Sign::wrong_result, Plain::caught,
         run_bf16<Bf16Fault::not_transposed>, bf16_expected},
    };
}

} // namespace planted
