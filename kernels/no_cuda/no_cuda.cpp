// What a program built without CUDA links in place of kernels/cuda.
#include <stdexcept>

#include "kernels/backend.h"

namespace patchforge {

std::unique_ptr<Backend> make_cuda_backend(int) {
    throw std::runtime_error("--device cuda: " + why_no_cuda() +
                             "; install nvcc and build again, or use --device cpu");
}

std::string why_no_cuda() {
    return "this program was built without CUDA";
}

} // namespace patchforge
