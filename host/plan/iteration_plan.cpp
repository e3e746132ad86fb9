#include "host/plan/iteration_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/train/gan_networks.h"
#include "host/train/gan_trainer.h"

namespace patchforge {
namespace {

// Kernels that touch what an iteration reads once and L2 is not asked to keep.
bool streams(const std::string& operation) {
    return operation.ends_with("adam") || operation == "gather_rows";
}

double floor_seconds(double bytes, double operations, const PlannedDevice& device) {
    return std::max(bytes / device.bytes_per_second, operations / device.operations_per_second);
}

std::string grid_text(const KernelLaunch& launch) {
    return launch.block == 0
               ? ""
               : fmt::format("{} x {} x {}", launch.grid[0], launch.grid[1], launch.grid[2]);
}

} // namespace

double IterationPlan::operand_bytes() const {
    double sum = 0;
    for (const PlannedKernel& kernel : kernels) {
        sum += kernel.launch.bytes;
    }
    return sum;
}

double IterationPlan::memory_bytes() const {
    double sum = 0;
    for (const PlannedKernel& kernel : kernels) {
        sum += kernel.memory_bytes;
    }
    return sum;
}

double IterationPlan::operations() const {
    double sum = 0;
    for (const PlannedKernel& kernel : kernels) {
        sum += kernel.launch.operations;
    }
    return sum;
}

std::int64_t IterationPlan::barriers() const {
    const auto grid_wide =
        std::count_if(kernels.begin(), kernels.end(),
                      [](const PlannedKernel& kernel) { return kernel.launch.cooperative; });
    return static_cast<std::int64_t>(kernels.size()) - 1 + grid_wide;
}

IterationPlan plan_gan_iteration(Backend& backend, const GanOptions& options,
                                 const PlannedPatches& patches, double cache_bytes) {
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
        const bool from_memory = !plan.fits_cache || streams(launch.name);
        plan.kernels.push_back({launch, from_memory ? launch.bytes : 0.0});
    }
    return plan;
}

std::string plan_text(const IterationPlan& plan, const PlannedDevice& device) {
    std::string text =
        fmt::format("{:>3}  {:<28} {:>14} {:>6} {:>9} {:>9} {:>8} {:>9}\n", "", "kernel", "grid",
                    "block", "MB asked", "MB memory", "MFLOP", "floor us");
    double kernels = 0;
    for (std::size_t i = 0; i < plan.kernels.size(); ++i) {
        const auto& [launch, memory_bytes] = plan.kernels[i];
        const double seconds = floor_seconds(memory_bytes, launch.operations, device);
        kernels += seconds;
        text +=
            fmt::format("{:>3}  {:<28} {:>14} {:>6} {:>9.3f} {:>9.3f} {:>8.2f} {:>9.2f}\n", i + 1,
                        launch.name, grid_text(launch), launch.block, launch.bytes * 1e-6,
                        memory_bytes * 1e-6, launch.operations * 1e-6, seconds * 1e6);
    }
    const double floor = floor_seconds(plan.adam_bytes(), plan.operations(), device);
    const double nodes = static_cast<double>(plan.kernels.size()) * device.seconds_per_node;
    text += fmt::format("\n{} nodes, {} barriers of the whole device; {:.1f} MB asked, {:.1f} MB "
                        "from memory, {:.2f} "
                        "GFLOP\n",
                        plan.kernels.size(), plan.barriers(), plan.operand_bytes() * 1e-6,
                        plan.memory_bytes() * 1e-6, plan.operations() * 1e-9);
    text += fmt::format(
        "working set {:.1f} MB: {}\n", plan.working_set * 1e-6,
        plan.fits_cache
            ? "stays in L2; memory carries moments, updated weights and the gathered patches"
            : "beyond L2; every operand counts as carried by memory");
    text += fmt::format("{:.0f} parameters x 24 B = {:.1f} MB: memory carries {:.3f} times that\n",
                        plan.parameters, plan.adam_bytes() * 1e-6,
                        plan.memory_bytes() / plan.adam_bytes());
    text += fmt::format(
        "at {:.0f} GB/s and {:.0f} TFLOP/s: floor {:.1f} us (24 B a parameter, all operations); "
        "this "
        "plan {:.1f} us in kernels + {:.1f} us for {} nodes = {:.1f} us, {:.2f} times the floor\n",
        device.bytes_per_second * 1e-9, device.operations_per_second * 1e-12, floor * 1e6,
        kernels * 1e6, nodes * 1e6, plan.kernels.size(), (kernels + nodes) * 1e6,
        (kernels + nodes) / floor);
    text += "Arithmetic, not a measurement: `make bench-gpu` measures on a GPU.\n";
    return text;
}

} // namespace patchforge
