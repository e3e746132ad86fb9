// One recorded GAN iteration, kernel by kernel, with what each kernel declares at its launch: the
// bytes of its operands and its operations. On the executor's checked build the iteration is also
// run once, and the bytes that its kernels touch are counted (kernels/launch_trace.h).
//
// Two sums of bytes. `operand_bytes` is what kernels ask of the memory system, each operand once.
// `memory_bytes` is what has to cross the device's memory once an iteration repeats and its working
// set - all weights and the activations of a batch - stays in the L2 cache: then only what touches
// the moments of Adam or the training set goes out to memory, and everything else is a second
// reading of what is in L2. With a working set beyond L2 both sums are the same. The sums that
// blocks pass to each other through the backend's workspace belong to neither: they are written and
// read again by one kernel, and stay in L2.
#pragma once

#include <optional>
#include <vector>

#include "host/gan/gan_options.h"
#include "kernels/backend.h"
#include "kernels/launch_trace.h"

namespace patchforge {

struct PlannedKernel {
    KernelLaunch launch;
    bool from_memory = false; // its operands are not in L2 already
    std::optional<KernelTraffic> counted;

    double memory_bytes() const { return from_memory ? launch.bytes : 0; }
};

struct IterationPlan {
    std::vector<PlannedKernel> kernels; // nodes of the graph, each behind the one before
    std::int64_t batch_size = 0;
    double parameters = 0;  // of both networks
    double working_set = 0; // bytes
    bool fits_cache = false;
    bool counted = false; // every kernel is

    double operand_bytes() const;
    double memory_bytes() const;
    double operations() const;
    // The counted counterparts of the first two.
    KernelTraffic counted_sum() const;
    double counted_memory_bytes() const;
    // Where the whole device waits: between nodes, and at a grid's own barriers.
    std::int64_t barriers() const;
    // Adam must read and write a weight and its two moments: 24 bytes a parameter.
    double adam_bytes() const { return 24 * parameters; }
};

// Lets a GanTrainer of these options on patches of channels x height x width record an iteration on
// `backend`, which must be the CUDA backend. cache_bytes: the L2 cache of the device in mind. With
// `count` the iteration is run as well, where counts_traffic().
struct PlannedPatches {
    int channels = 3;
    int height = 50;
    int width = 50;
};
IterationPlan plan_gan_iteration(Backend& backend, const GanOptions& options,
                                 const PlannedPatches& patches, double cache_bytes,
                                 bool count = false);

} // namespace patchforge
