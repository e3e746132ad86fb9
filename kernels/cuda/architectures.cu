// What nvcc compiled the kernels for, which only what it compiles itself is told.
#include "kernels/cuda/architectures.h"

#include <algorithm>

#include "kernels/backend.h"
#include "kernels/cuda/device.h"

namespace patchforge {
namespace cuda {
namespace {

std::string capability_text(int architecture) {
    return std::to_string(architecture / 100) + "." + std::to_string(architecture % 100 / 10);
}

} // namespace

std::vector<int> compiled_architectures() {
#if defined(__CUDA_ARCH_LIST__)
    return {__CUDA_ARCH_LIST__};
#else
    return {800, 900}; // on the executor: as the Makefile has it
#endif
}

std::string why_compiled_at_first(int major, int minor, const std::vector<int>& compiled) {
    std::string all;
    for (const int architecture : compiled) {
        if (architecture / 100 == major && architecture % 100 / 10 <= minor) {
            return {};
        }
        all += (all.empty() ? "" : ", ") + capability_text(architecture);
    }
    const std::string own = std::to_string(major) + "." + std::to_string(minor);
    const int newest = *std::max_element(compiled.begin(), compiled.end());
    if (newest / 100 > major) {
        return "none for compute capability " + own + ", only for " + all +
               ": no kernel can run; build with `make SM=all`";
    }
    return "none for compute capability " + own + ", only for " + all +
           ": the driver compiles the kernels before they first run, which takes minutes, and "
           "keeps "
           "the result; `make SM=all` builds a program that spares it";
}

} // namespace cuda

std::string why_first_launch_compiles(int device_index) {
    cudaDeviceProp device = {};
    PATCHFORGE_CUDA_CHECK(cudaGetDeviceProperties(&device, device_index));
    return cuda::why_compiled_at_first(device.major, device.minor, cuda::compiled_architectures());
}

} // namespace patchforge
