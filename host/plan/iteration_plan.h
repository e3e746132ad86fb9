// One recorded GAN iteration, kernel by kernel, beside the time that bytes, operations and launches
// must take at the least. Nothing is run: what is recorded decides.
//
// Two counts of bytes. `operand_bytes` is what kernels ask of the memory system, each operand once.
// `memory_bytes` is what has to cross the device's memory once an iteration repeats and its working
// set - all weights and the activations of a batch - stays in the L2 cache: then only what touches
// the moments of Adam or the training set goes out to memory, and everything else is a second
// reading of what is in L2. With a working set beyond L2 both counts are the same.
#pragma once

#include <string>
#include <vector>

#include "host/train/gan_options.h"
#include "kernels/backend.h"
#include "kernels/launch_trace.h"

namespace patchforge {

struct PlannedKernel {
    KernelLaunch launch;
    double memory_bytes = 0;
};

struct IterationPlan {
    std::vector<PlannedKernel> kernels; // nodes of the graph, each behind the one before
    std::int64_t batch_size = 0;
    double parameters = 0;  // of both networks
    double working_set = 0; // bytes
    bool fits_cache = false;

    double operand_bytes() const;
    double memory_bytes() const;
    double operations() const;
    // Where the whole device waits: between nodes, and at a grid's own barriers.
    std::int64_t barriers() const;
    // Adam must read and write a weight and its two moments: 24 bytes a parameter.
    double adam_bytes() const { return 24 * parameters; }
};

// Lets a GanTrainer of these options on patches of channels x height x width record an iteration on
// `backend`, which must be the CUDA backend. cache_bytes: the L2 cache of the device in mind.
struct PlannedPatches {
    int channels = 3;
    int height = 50;
    int width = 50;
};
IterationPlan plan_gan_iteration(Backend& backend, const GanOptions& options,
                                 const PlannedPatches& patches, double cache_bytes);

// The device that floors are worked out for.
struct PlannedDevice {
    double bytes_per_second = 3.0e12;
    double operations_per_second = 60e12; // float32
    double seconds_per_node = 1.2e-6;     // of a graph whose nodes depend on each other
};
std::string plan_text(const IterationPlan& plan, const PlannedDevice& device);

} // namespace patchforge
