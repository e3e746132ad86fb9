// What the floors of a plan leave out, since they count bytes, operations and nodes alone. All of it
// is predicted from the shapes of the launches and the times of PlannedDevice, of which no GPU of this
// project has measured one.
#pragma once

#include "host/plan/iteration_plan.h"

namespace patchforge {

// The device that a plan is for.
struct PlannedDevice {
    double bytes_per_second = 3.0e12;
    double operations_per_second = 60e12; // float32
    double seconds_per_node = 1.2e-6;     // of a graph whose nodes depend on each other
    int multiprocessors = 132;
    // Of a multiprocessor, as A100, H100 and H200 have them.
    int threads = 2048;
    double shared_bytes = 228 * 1024;
    // From the request of the first bytes to their arrival, and what a sum takes that blocks split
    // among them: leaving the parts, the last one's reading and adding.
    double l2_seconds = 0.3e-6;
    double memory_seconds = 0.65e-6;
    double split_seconds = 1.3e-6;
};

// Blocks over the places for them: below 1 the device is not full, above it blocks wait for others to
// end. 0: no kernel, but a copy or a product of cuBLAS.
double waves_of(const KernelLaunch& launch, const PlannedDevice& device);
// Multiprocessors with a block.
int busy_multiprocessors(const KernelLaunch& launch, const PlannedDevice& device);

// Seconds beyond the kernel's floor.
struct LeftOut {
    double whole_waves = 0; // the last wave takes as long as a full one
    double idle = 0;        // the operations of few blocks are those of few multiprocessors
    double first_load = 0;  // nothing can be computed before it
    double split_sum = 0;

    double sum() const { return whole_waves + idle + first_load + split_sum; }
};
LeftOut left_out_of(const PlannedKernel& kernel, const PlannedDevice& device);
LeftOut left_out_of(const IterationPlan& plan, const PlannedDevice& device);

// The least time for so many bytes and operations, and of a kernel.
double floor_seconds(double bytes, double operations, const PlannedDevice& device);
double floor_seconds(const PlannedKernel& kernel, const PlannedDevice& device);

} // namespace patchforge
