// How exactly the products of linear layers are worked out. Weights, gradients, moments and
// activations are float32 in memory whatever is chosen; what is rounded is the copy of an operand
// that goes into a product, and sums stay float32.
//
//             bits of the significand   rounding                     largest relative error
//   float32   24                        none                         0
//   tf32      11                        nearest, ties from zero      2^-11
//   bf16       8                        nearest, ties to even        2^-8
//
// Both narrow formats keep the exponent of float32 (bf16: its upper half), so nothing overflows
// that float32 holds, but for the last half step below its largest number.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace patchforge {

enum class Precision { float32, tf32, bf16 };

// Products of this many rows or more are rounded: the CUDA backend has them on tensor cores. With
// fewer rows a layer costs the way of its weights from memory, which rounding does not shorten.
constexpr std::int64_t rounded_from_rows = 9;

std::vector<std::string> precision_names();
std::string precision_name(Precision precision);
// What a backend's description says of it: ", tf32 products"; nothing for float32.
std::string products_text(Precision precision);

} // namespace patchforge
