#include "kernels/gemm.h"

#include <stdexcept>

namespace patchforge {

std::vector<std::string> gemm_names() {
    return {"own", "cublas"};
}

std::string gemm_name(Gemm gemm) {
    return gemm_names()[static_cast<std::size_t>(gemm)];
}

Gemm parse_gemm(const std::string& name) {
    for (const Gemm gemm : {Gemm::own, Gemm::cublas}) {
        if (name == gemm_name(gemm)) {
            return gemm;
        }
    }
    throw std::invalid_argument("--gemm " + name + ": no such library; use own or cublas");
}

} // namespace patchforge
