#include "kernels/launch_trace.h"

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
                     shape.cooperative});
            };
            cuda::set_launch_listener(keep, &launches);
        }
        ~Listening() { cuda::set_launch_listener(nullptr, nullptr); }
    } const listening(launches);
    body();
    return launches;
}

} // namespace patchforge
