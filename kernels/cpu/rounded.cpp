// The operands of a product as tensor cores would read them (kernels/precision.h). A copy costs a
// pass over the operand and is there to study what a precision does to a training run, not to save
// time.
#include "kernels/cpu/cpu_backend.h"

#include <bit>

namespace patchforge {
namespace {

constexpr std::int64_t piece = 1 << 15;

// Adding half a step to the word of a number carries into the exponent as rounding should; what
// lies above the largest number becomes infinity, and infinity has no bits to carry. A NaN might
// carry into the sign, and stays what it is.
float to_tf32(float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    return value != value ? value : std::bit_cast<float>((word + 0x1000u) & 0xffffe000u);
}

float to_bf16(float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t odd = word >> 16 & 1; // a tie goes up from an odd number only
    return value != value ? value : std::bit_cast<float>((word + 0x7fffu + odd) & 0xffff0000u);
}

} // namespace

Matrix<const float> CpuBackend::rounded(Matrix<const float> operand, std::int64_t rows,
                                        AlignedFloats& memory) {
    if (!rounds(rows)) {
        return operand;
    }
    float* const copy = memory.at_least(operand.size());
    const auto round_pieces = [&](auto round) {
        for_pieces(operand.size(), piece, [&](std::int64_t first, std::int64_t count) {
            for (std::int64_t e = first; e < first + count; ++e) {
                copy[e] = round(operand.data[e]);
            }
        });
    };
    if (precision_ == Precision::tf32) {
        round_pieces(to_tf32);
    } else {
        round_pieces(to_bf16);
    }
    return {copy, operand.rows, operand.columns};
}

} // namespace patchforge
