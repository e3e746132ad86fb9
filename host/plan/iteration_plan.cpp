#include "host/plan/iteration_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "host/gan/gan_networks.h"
#include "host/gan/gan_trainer.h"

namespace patchforge {
namespace {

// Kernels that touch what an iteration reads once and L2 is not asked to keep.
bool streams(const std::string& operation) {
    return operation.ends_with("adam") || operation == "gather_rows";
}

template <class Value>
double sum(const std::vector<PlannedKernel>& kernels, Value value) {
    double total = 0;
    for (const PlannedKernel& kernel : kernels) {
        total += value(kernel);
    }
    return total;
}

// Launches and counts are of the same recording: one of each, in the same order.
void add_counts(IterationPlan& plan, std::vector<KernelTraffic> counts) {
    // What a replay puts before the graph is no node of it.
    std::erase_if(counts, [](const KernelTraffic& kernel) { return kernel.name == "adam_rates"; });
    const bool alike = std::equal(
        plan.kernels.begin(), plan.kernels.end(), counts.begin(), counts.end(),
        [](const PlannedKernel& kernel, const KernelTraffic& traffic) {
            return kernel.launch.name == traffic.name && kernel.launch.bytes == traffic.declared;
        });
    if (!alike) {
        throw std::logic_error(fmt::format("plan: {} kernels were recorded and {} others ran",
                                           plan.kernels.size(), counts.size()));
    }
    for (std::size_t i = 0; i < counts.size(); ++i) {
        plan.kernels[i].counted = counts[i];
    }
    plan.counted = true;
}

} // namespace

double IterationPlan::operand_bytes() const {
    return sum(kernels, [](const PlannedKernel& kernel) { return kernel.launch.bytes; });
}

double IterationPlan::memory_bytes() const {
    return sum(kernels, [](const PlannedKernel& kernel) { return kernel.memory_bytes(); });
}

double IterationPlan::operations() const {
    return sum(kernels, [](const PlannedKernel& kernel) { return kernel.launch.operations; });
}

KernelTraffic IterationPlan::counted_sum() const {
    KernelTraffic total;
    for (const PlannedKernel& kernel : kernels) {
        const KernelTraffic& counted = kernel.counted.value();
        total.read += counted.read;
        total.written += counted.written;
        total.partial += counted.partial;
        total.by_blocks += counted.by_blocks;
        total.by_threads += counted.by_threads;
    }
    return total;
}

double IterationPlan::counted_memory_bytes() const {
    return sum(kernels, [](const PlannedKernel& kernel) {
        return kernel.from_memory ? kernel.counted.value().bytes() : 0;
    });
}

std::int64_t IterationPlan::barriers() const {
    const auto grid_wide =
        std::count_if(kernels.begin(), kernels.end(),
                      [](const PlannedKernel& kernel) { return kernel.launch.cooperative; });
    return static_cast<std::int64_t>(kernels.size()) - 1 + grid_wide;
}

IterationPlan plan_gan_iteration(Backend& backend, const GanOptions& options,
                                 const PlannedPatches& patches, double cache_bytes, bool count) {
    PatchRows rows;
    rows.count = 2 * options.batch_size;
    rows.channels = patches.channels;
    rows.height = patches.height;
    rows.width = patches.width;
    const std::int64_t pixels = rows.pixels_per_patch();
    const std::vector<std::uint8_t> black(static_cast<std::size_t>(rows.count * pixels));
    rows.pixels = black.data();
    GanTrainer trainer(backend, options, rows, Placement::resident);

    IterationPlan plan;
    plan.batch_size = options.batch_size;
    plan.parameters = static_cast<double>(trainer.generator().shape().parameter_count() +
                                          trainer.discriminator().shape().parameter_count());
    // Weights, and patches, fakes and the gradient by the fakes: hidden layers are small beside.
    plan.working_set =
        4 * plan.parameters + 4.0 * 3 * static_cast<double>(options.batch_size * pixels);
    plan.fits_cache = plan.working_set <= cache_bytes;
    for (const KernelLaunch& launch : trace_launches([&] { trainer.record_iteration(); })) {
        plan.kernels.push_back({launch, !plan.fits_cache || streams(launch.name), {}});
    }
    if (count && counts_traffic()) {
        add_counts(plan, count_traffic(backend, [&] { trainer.run(1); }));
    }
    return plan;
}

} // namespace patchforge
