#include "kernels/backend.h"

#include <charconv>
#include <stdexcept>

namespace patchforge {

std::unique_ptr<Backend> make_backend(const std::string& device, const BackendOptions& options) {
    if (device == "cpu" || (device == "auto" && !why_no_cuda().empty())) {
        return make_cpu_backend(options);
    }
    if (device == "cuda" || device == "auto") {
        return make_cuda_backend(0, options);
    }
    if (device.starts_with("cuda:")) {
        int index = 0;
        const char* const end = device.data() + device.size();
        const auto [parsed, status] = std::from_chars(device.data() + 5, end, index);
        if (status == std::errc() && parsed == end && index >= 0) {
            return make_cuda_backend(index, options);
        }
    }
    throw std::invalid_argument("--device " + device +
                                ": no such device; use auto, cpu, cuda or cuda:N");
}

} // namespace patchforge
