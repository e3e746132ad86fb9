// Planted bugs: small kernels with one fault each, and the same kernel without it. The test demands
// that the executor sees every fault and finds nothing in any twin.
#pragma once

#include "kernels/cuda/device.h"

#include <string>
#include <vector>

namespace planted {

// How a fault shows.
enum class Sign {
    divergent_barrier,
    deadlock,
    lane_mask,
    misaligned,
    out_of_bounds,
    unwritten_read,
    race,
    unordered, // a race, or a read of what is not written yet: whichever comes first
    limit,
    overlap,           // a kernel that may overlap touches memory before it waits
    overlap_of_idle,   // the same, found at its end: no access says where
    wrong_result,      // under every schedule
    schedule_dependent // the bits differ between schedules
};

// Whether the executor notices without memory instrumentation, by any sign.
enum class Plain { caught, missed, crashes };

struct Bug {
    const char* name;
    Sign sign; // in the checked build
    Plain plain;
    // Runs the kernel with or without the fault and returns what it computed.
    std::vector<float> (*run)(bool faulty);
    std::vector<float> (*expected)();
};

std::vector<Bug> barrier_bugs();
std::vector<Bug> convolution_bugs();
std::vector<Bug> copy_bugs();
std::vector<Bug> indexing_bugs();
std::vector<Bug> overlap_bugs();
std::vector<Bug> shared_memory_bugs();
std::vector<Bug> tensor_core_bugs();
std::vector<Bug> warp_bugs();

// Device memory of `values`, or of `size` numbers never written.
class Array {
  public:
    explicit Array(const std::vector<float>& values);
    explicit Array(std::size_t size);
    ~Array() { cudaFree(data_); }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;

    float* data() { return data_; }
    std::vector<float> values() const;

  private:
    float* data_ = nullptr;
    std::size_t size_;
};

// count small integers, whose sums are exact in any order.
std::vector<float> integers(std::size_t count);

// kernel<true> has the fault, kernel<false> is its twin.
#define PLANTED_LAUNCH(faulty, kernel, shape, ...)                                                 \
    patchforge::cuda::launch(faulty ? kernel<true> : kernel<false>, shape, __VA_ARGS__)

} // namespace planted
