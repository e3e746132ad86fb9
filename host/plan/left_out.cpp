#include "host/plan/left_out.h"

#include <algorithm>
#include <cmath>

namespace patchforge {
namespace {

constexpr double most_blocks = 32;            // that a multiprocessor takes
constexpr double shared_of_the_system = 1024; // bytes a block

double blocks_of(const KernelLaunch& launch) {
    return 1.0 * launch.grid[0] * launch.grid[1] * launch.grid[2];
}

double places_of(const KernelLaunch& launch, const PlannedDevice& device) {
    const double by_threads = std::floor(1.0 * device.threads / launch.block);
    const double by_shared = std::floor(
        device.shared_bytes / (static_cast<double>(launch.shared_bytes) + shared_of_the_system));
    const double by_registers = launch.resident_blocks > 0 ? launch.resident_blocks : most_blocks;
    return device.multiprocessors *
           std::max(1.0, std::min({by_threads, by_shared, by_registers, most_blocks}));
}

} // namespace

double waves_of(const KernelLaunch& launch, const PlannedDevice& device) {
    return launch.block == 0 ? 0 : blocks_of(launch) / places_of(launch, device);
}

int busy_multiprocessors(const KernelLaunch& launch, const PlannedDevice& device) {
    return static_cast<int>(std::min<double>(blocks_of(launch), device.multiprocessors));
}

double floor_seconds(double bytes, double operations, const PlannedDevice& device) {
    return std::max(bytes / device.bytes_per_second, operations / device.operations_per_second);
}

double floor_seconds(const PlannedKernel& kernel, const PlannedDevice& device) {
    return floor_seconds(kernel.memory_bytes(), kernel.launch.operations, device);
}

LeftOut left_out_of(const PlannedKernel& kernel, const PlannedDevice& device) {
    const KernelLaunch& launch = kernel.launch;
    LeftOut left;
    if (launch.block == 0) {
        return left;
    }
    const double floor = floor_seconds(kernel, device);
    const double waves = waves_of(launch, device);
    if (waves > 1 && !launch.cooperative) {
        left.whole_waves = floor * (std::ceil(waves) / waves - 1);
    }
    const double share = 1.0 * busy_multiprocessors(launch, device) / device.multiprocessors;
    left.idle = std::max(launch.operations / (device.operations_per_second * share) - floor, 0.0);
    left.first_load = kernel.from_memory ? device.memory_seconds : device.l2_seconds;
    left.split_sum = launch.splits > 1 ? device.split_seconds : 0;
    return left;
}

LeftOut left_out_of(const IterationPlan& plan, const PlannedDevice& device) {
    LeftOut sum;
    for (const PlannedKernel& kernel : plan.kernels) {
        const LeftOut left = left_out_of(kernel, device);
        sum.whole_waves += left.whole_waves;
        sum.idle += left.idle;
        sum.first_load += left.first_load;
        sum.split_sum += left.split_sum;
    }
    return sum;
}

} // namespace patchforge
