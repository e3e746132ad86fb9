#include "kernels/gemm.h"

namespace patchforge {

std::string gemm_name(Gemm gemm) {
    return gemm == Gemm::own ? "own" : "cublas";
}

} // namespace patchforge
