// What precedes and follows every launch of a kernel (launch() in kernels/cuda/device.h).
#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

#include "kernels/cuda/device.h"

namespace patchforge::cuda {
namespace {

LaunchListener listener = nullptr;
void* listener_context = nullptr;

// Of the shared memory and first-level cache of a multiprocessor, what two blocks of the largest
// tiles take: 80 KiB each and 1 for the system. The same for all kernels, since a multiprocessor
// that changes the division has to be empty for it. What is left, 94 KiB of 256 on an H100, is cache.
constexpr int carved_out_kibibytes = 2 * (80 + 1);

// Loads the code of a kernel and says how it is launched, once on a device.
void load(const void* kernel, const LaunchShape& shape) {
    static std::mutex mutex;
    static std::set<std::pair<int, const void*>> loaded;
    const std::lock_guard lock(mutex);
    int device = shape.stream.device;
    if (device < 0) {
        PATCHFORGE_CUDA_CHECK(cudaGetDevice(&device));
    }
    if (loaded.contains({device, kernel})) {
        return;
    }
    cudaFuncAttributes attributes = {};
    PATCHFORGE_CUDA_CHECK(cudaFuncGetAttributes(&attributes, kernel));
    // More than 48 KiB has to be asked for. A kernel always takes the same.
    if (shape.shared_bytes > 48 * 1024) {
        PATCHFORGE_CUDA_CHECK(cudaFuncSetAttribute(kernel,
                                                   cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   static_cast<int>(shape.shared_bytes)));
    }
    int shared = 0;
    PATCHFORGE_CUDA_CHECK(
        cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerMultiprocessor, device));
    // In per cent of the most that shared memory can be, rounded up.
    const int share = (100 * carved_out_kibibytes * 1024 + shared - 1) / shared;
    PATCHFORGE_CUDA_CHECK(cudaFuncSetAttribute(
        kernel, cudaFuncAttributePreferredSharedMemoryCarveout, std::min(share, 100)));
    loaded.insert({device, kernel});
}

} // namespace

void set_launch_listener(LaunchListener new_listener, void* context) {
    listener = new_listener;
    listener_context = context;
}

void announce_launch(const LaunchShape& shape) {
    if (listener && shape.stream.launching != Launching::load) {
        listener(shape, listener_context);
    }
}

void use_device(int device) {
    if (device >= 0) {
        PATCHFORGE_CUDA_CHECK(cudaSetDevice(device));
    }
}

bool prepare_launch(const void* kernel, const LaunchShape& shape) {
    announce_launch(shape);
    if (shape.stream.launching == Launching::announce) {
        return false;
    }
    use_device(shape.stream.device); // threads start with device 0
    if (kernel) {
        load(kernel, shape);
    }
    return shape.stream.launching != Launching::load;
}

void check_launch(cudaError_t status, const LaunchShape& shape) {
    if (status == cudaSuccess && shape.stream.launching == Launching::check) {
        status = cudaStreamSynchronize(shape.stream.handle);
    }
    if (status != cudaSuccess) {
        throw std::runtime_error(fmt::format(
            "cuda: kernel {}, grid {} x {} x {}, {} threads a block, {} bytes of shared memory: {} "
            "({}); see `patchforge doctor`",
            shape.name, shape.grid.x, shape.grid.y, shape.grid.z, shape.block, shape.shared_bytes,
            cudaGetErrorString(status), cudaGetErrorName(status)));
    }
}

} // namespace patchforge::cuda
