// Who multiplies the matrices of linear layers on a GPU: the kernels of this engine, or cuBLAS with
// the engine's kernels for what follows a product (bias, activation, dropout, their derivatives,
// Adam). cuBLAS is loaded when it is asked for; without it everything else works. It decides by
// itself which products to round where the precision is not float32, whatever their rows.
#pragma once

#include <string>

namespace patchforge {

enum class Gemm { own, cublas };

std::string gemm_name(Gemm gemm);

} // namespace patchforge
