// What a program built without CUDA links in place of kernels/cuda.
#include <stdexcept>

#include "kernels/backend.h"
#include "kernels/communicator.h"
#include "kernels/launch_trace.h"

namespace patchforge {

std::unique_ptr<Backend> make_cuda_backend(int, const BackendOptions&) {
    throw std::runtime_error("--device cuda: " + why_no_cuda() +
                             "; install nvcc and build again, or use --device cpu");
}

std::unique_ptr<Backend> make_planning_backend(const BackendOptions&) {
    throw std::runtime_error("plan: " + why_no_cuda() +
                             " and has no kernels; use `make plan`, which runs them without a GPU");
}

std::vector<std::byte> make_communicator_id() {
    throw std::runtime_error("several ranks on GPUs: " + why_no_cuda());
}

Communicator& join_communicator(Backend&, const Membership&) {
    throw std::runtime_error("several ranks on GPUs: " + why_no_cuda());
}

Communicator* communicator_of(Backend&) {
    return nullptr;
}

std::int64_t bytes_sent_between_gpus() {
    return 0;
}

std::string nccl_version() {
    throw std::runtime_error("several ranks on GPUs: " + why_no_cuda());
}

std::string gpu_identity(Backend&) {
    return {};
}

int visible_gpus() {
    return 0;
}

std::string why_first_launch_compiles(int) {
    return {};
}

std::string why_no_cuda() {
    return "this program was built without CUDA";
}

std::vector<KernelLaunch> trace_launches(const std::function<void()>&) {
    throw std::runtime_error("launches of kernels: " + why_no_cuda() +
                             "; use `make plan`, which records them without a GPU");
}

bool counts_traffic() {
    return false;
}

std::vector<KernelTraffic> count_traffic(Backend&, const std::function<void()>&) {
    throw std::runtime_error("traffic of kernels: " + why_no_cuda() +
                             "; use `make plan`, which counts it without a GPU");
}

} // namespace patchforge
