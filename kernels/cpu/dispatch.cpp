#include "kernels/cpu/dispatch.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace patchforge {

namespace baseline {
extern const VectorKernels kernels;
}
namespace avx2 {
extern const VectorKernels kernels;
}
namespace avx512 {
extern const VectorKernels kernels;
}

namespace {

bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

} // namespace

const VectorKernels& vector_kernels() {
    const char* const wanted = std::getenv("PATCHFORGE_CPU");
    if (!wanted || !*wanted) {
        return has_avx512() ? avx512::kernels : has_avx2() ? avx2::kernels : baseline::kernels;
    }
    const std::string name = wanted;
    if (name != "baseline" && name != "avx2" && name != "avx512") {
        throw std::invalid_argument("PATCHFORGE_CPU: " + name +
                                    " is no instruction set; use baseline, avx2 or avx512");
    }
    if ((name == "avx512" && !has_avx512()) || (name == "avx2" && !has_avx2())) {
        throw std::invalid_argument("PATCHFORGE_CPU: this processor has no " + name +
                                    "; unset it to use the widest there is");
    }
    return name == "avx512" ? avx512::kernels : name == "avx2" ? avx2::kernels : baseline::kernels;
}

} // namespace patchforge
