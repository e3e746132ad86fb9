#include "kernels/launch_trace.h"

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"

namespace patchforge {

std::vector<KernelLaunch> trace_launches(const std::function<void()>& body) {
    std::vector<KernelLaunch> launches;
    struct Listening {
        explicit Listening(std::vector<KernelLaunch>& launches) {
            const auto keep = [](const cuda::LaunchShape& shape, void* context) {
                static_cast<std::vector<KernelLaunch>*>(context)->push_back(
                    {shape.name,
                     {shape.grid.x, shape.grid.y, shape.grid.z},
                     shape.block,
                     shape.shared_bytes,
                     shape.work.bytes,
                     shape.work.operations,
                     shape.cooperative,
                     shape.overlaps(),
                     shape.splits,
                     shape.resident_blocks});
            };
            cuda::set_launch_listener(keep, &launches);
        }
        ~Listening() { cuda::set_launch_listener(nullptr, nullptr); }
    } const listening(launches);
    body();
    return launches;
}

#if defined(PATCHFORGE_SIMT)

bool counts_traffic() {
    return simt::checked();
}

std::vector<KernelTraffic> count_traffic(Backend& backend, const std::function<void()>& body) {
    if (!counts_traffic()) {
        throw std::runtime_error("traffic of kernels: the executor of this program does not watch "
                                 "memory; use build/patchforge-checked");
    }
    const auto& cuda_backend = dynamic_cast<cuda::CudaBackend&>(backend);
    std::vector<KernelTraffic> kernels;
    for (const simt::Traffic& launch : simt::count_traffic(body)) {
        KernelTraffic& kernel = kernels.emplace_back();
        kernel.name = launch.name;
        kernel.declared = launch.declared_bytes;
        for (const simt::Traffic::Buffer& buffer : launch.buffers) {
            if (cuda_backend.is_workspace(buffer.start)) {
                kernel.partial += static_cast<double>(buffer.written);
            } else {
                kernel.read += static_cast<double>(buffer.read);
                kernel.written += static_cast<double>(buffer.written);
            }
            kernel.by_blocks += static_cast<double>(buffer.by_blocks);
            kernel.by_threads += static_cast<double>(buffer.by_threads);
        }
    }
    return kernels;
}

#else

bool counts_traffic() {
    return false;
}

std::vector<KernelTraffic> count_traffic(Backend&, const std::function<void()>&) {
    throw std::runtime_error("traffic of kernels: a GPU does not count it; use `make plan`, which "
                             "counts it without one");
}

#endif

} // namespace patchforge
