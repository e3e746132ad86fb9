// What kernels/cuda/device.h declares and the CUDA backend defines, so that these tests need the
// executor alone.
#include "kernels/cuda/device.h"

namespace patchforge::cuda {

void throw_cuda_error(cudaError_t status, const char* expression, const char* file, int line) {
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + expression +
                             ": " + cudaGetErrorString(status));
}

bool prepare_launch(const void*, const LaunchShape&) {
    return true;
}
void check_launch(cudaError_t, const LaunchShape&) {}

} // namespace patchforge::cuda
