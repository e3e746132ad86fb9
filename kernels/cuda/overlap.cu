// Programmatic dependent launch: which launches may start before the one before them has ended. The
// other half, how a kernel then waits, is begin_kernel() (kernels/cuda/instructions.h).
#include <algorithm>

#include "kernels/cuda/architectures.h"
#include "kernels/cuda/device.h"

namespace patchforge::cuda {
namespace {

// Kernels compiled for less than 9.0 do not wait, and as PTX they run on newer devices, too.
bool kernels_wait() {
    const std::vector<int> compiled = compiled_architectures();
    return *std::max_element(compiled.begin(), compiled.end()) >= 900;
}

} // namespace

std::string why_no_overlap(int device_index) {
    cudaDeviceProp device = {};
    PATCHFORGE_CUDA_CHECK(cudaGetDeviceProperties(&device, device_index));
    if (device.major < 9) {
        return std::string(device.name) + " has compute capability " +
               std::to_string(device.major) + "." + std::to_string(device.minor) +
               ", and 9.0 is needed";
    }
    if (!kernels_wait()) {
        return "the program was built for compute capabilities below 9.0 (make SM=90)";
    }
    return {};
}

#if defined(__CUDACC__)
bool starts_before_predecessor_ends(const LaunchShape& shape) {
    if (!shape.overlaps()) {
        return false;
    }
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    const cudaGraphNode_t* before = nullptr;
    const cudaGraphEdgeData* edges = nullptr;
    std::size_t count = 0;
#if CUDART_VERSION >= 13000
    PATCHFORGE_CUDA_CHECK(cudaStreamGetCaptureInfo(shape.stream.handle, &status, nullptr, nullptr,
                                                   &before, &edges, &count));
#else
    PATCHFORGE_CUDA_CHECK(cudaStreamGetCaptureInfo_v3(shape.stream.handle, &status, nullptr,
                                                      nullptr, &before, &edges, &count));
#endif
    if (status != cudaStreamCaptureStatusActive || count != 1) {
        return false;
    }
    cudaGraphNodeType type = cudaGraphNodeTypeEmpty;
    PATCHFORGE_CUDA_CHECK(cudaGraphNodeGetType(before[0], &type));
    return type == cudaGraphNodeTypeKernel;
}
#endif

} // namespace patchforge::cuda
