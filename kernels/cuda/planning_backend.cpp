// The CUDA backend where there is no device: it announces what it would launch, lets the host's memory
// stand for the device's, and computes nothing.
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/cuda/cuda_backend.h"

namespace patchforge {
namespace cuda {
namespace {

constexpr int most_multiprocessors = 132; // H100 SXM and H200

BackendOptions with_multiprocessors(BackendOptions options) {
    if (options.multiprocessors == 0) {
        options.multiprocessors = most_multiprocessors;
    }
    return options;
}

class Announcements final : public Recording {
    void replay(std::int64_t) override {}
};

class PlanningBackend final : public CudaBackend {
  public:
    explicit PlanningBackend(const BackendOptions& options)
        : CudaBackend(Announced{}, options), multiprocessors_(options.multiprocessors) {}

    std::string name() const override { return "no device"; }
    std::string description() const override {
        return "no device: a plan for " + std::to_string(multiprocessors_) + " multiprocessors";
    }
    std::int64_t free_memory() const override { return std::int64_t{80} << 30; }

    void* allocate(std::size_t bytes) override {
        if (bytes == 0) {
            return nullptr;
        }
        const std::size_t whole = (bytes + 255) / 256 * 256;
        void* const memory = std::aligned_alloc(256, whole);
        if (!memory) {
            throw std::bad_alloc();
        }
        return std::memset(memory, 0, whole);
    }
    void release(void* memory) noexcept override { std::free(memory); }
    void upload(void* device, const void* host, std::size_t bytes) override {
        std::memcpy(device, host, bytes);
    }
    void download(void* host, const void* device, std::size_t bytes) override {
        std::memcpy(host, device, bytes);
    }
    void synchronise() override {}
    std::unique_ptr<Recording> record(std::function<void()> body) override {
        Recorded recorded;
        const Making making(*this, recorded, Launching::announce);
        body();
        return std::make_unique<Announcements>();
    }

    void* allocate_staging(std::size_t bytes) override { return allocate(bytes); }
    void release_staging(void* memory) noexcept override { release(memory); }
    void stage(int, void*, const void*, std::size_t) override {}
    void await_slot(int) override {}
    void release_slot(int) override {}
    void wait_until_staged(int) override {}

  private:
    int multiprocessors_;
};

} // namespace
} // namespace cuda

std::unique_ptr<Backend> make_planning_backend(const BackendOptions& options) {
    return std::make_unique<cuda::PlanningBackend>(cuda::with_multiprocessors(options));
}

} // namespace patchforge
