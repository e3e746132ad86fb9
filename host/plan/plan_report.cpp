#include "host/plan/plan_report.h"

#include <fmt/format.h>

#include <array>

#include "host/files/json.h"

namespace patchforge {
namespace {

struct Times {
    double floor = 0, kernels = 0, nodes = 0; // seconds
    double plan() const { return kernels + nodes; }
};

Times times_of(const IterationPlan& plan, const PlannedDevice& device) {
    Times times;
    times.floor = floor_seconds(plan.adam_bytes(), plan.operations(), device);
    for (const PlannedKernel& kernel : plan.kernels) {
        times.kernels += floor_seconds(kernel, device);
    }
    times.nodes = static_cast<double>(plan.kernels.size()) * device.seconds_per_node;
    return times;
}

std::string grid_text(const KernelLaunch& launch) {
    return launch.block == 0
               ? ""
               : fmt::format("{} x {} x {}", launch.grid[0], launch.grid[1], launch.grid[2]);
}

std::string megabytes(double bytes) {
    return fmt::format(" {:>8.3f}", bytes * 1e-6);
}

std::string counted_cells(const PlannedKernel& kernel) {
    const KernelTraffic& counted = *kernel.counted;
    return megabytes(counted.bytes()) + megabytes(counted.partial) +
           (kernel.launch.cooperative ? fmt::format(" {:>8}", "-") : megabytes(counted.by_blocks));
}

std::string table_text(const IterationPlan& plan, const PlannedDevice& device) {
    std::string text = fmt::format("{:>3}  {:<27} {:>12} {:>5} {:>5} {:>8}{} {:>8} {:>8} {:>8}\n",
                                   "", "kernel", "grid", "block", "waves", "asked MB",
                                   plan.counted ? "  counted  partial   via L2" : "", "from mem",
                                   "MFLOP", "floor us");
    for (std::size_t i = 0; i < plan.kernels.size(); ++i) {
        const PlannedKernel& kernel = plan.kernels[i];
        const KernelLaunch& launch = kernel.launch;
        text += fmt::format("{:>3}  {:<27} {:>12} {:>5} {:>5.2f}{}{}{} {:>8.2f} {:>8.2f}\n", i + 1,
                            launch.name, grid_text(launch), launch.block, waves_of(launch, device),
                            megabytes(launch.bytes), plan.counted ? counted_cells(kernel) : "",
                            megabytes(kernel.memory_bytes()), launch.operations * 1e-6,
                            floor_seconds(kernel, device) * 1e6);
    }
    return text;
}

std::string counts_text(const IterationPlan& plan) {
    if (!plan.counted) {
        return "not counted: the bytes are what kernels declare; `make plan` counts them\n";
    }
    const KernelTraffic sum = plan.counted_sum();
    return fmt::format(
        "counted: {:.1f} MB of operands ({:+.2f} % of what is asked), {:.1f} MB of "
        "partial sums between blocks;\n"
        "         {:.1f} MB through L2 if a block asks for a byte once; {:.1f} MB as "
        "threads ask\n",
        sum.bytes() * 1e-6, 100 * (sum.bytes() / plan.operand_bytes() - 1), sum.partial * 1e-6,
        sum.by_blocks * 1e-6, sum.by_threads * 1e-6);
}

// "3-5, 9": the numbers of the kernels for which `is` holds.
template <class Predicate>
std::string numbers(const IterationPlan& plan, Predicate is) {
    std::string text;
    const auto& kernels = plan.kernels;
    for (std::size_t first = 0; first < kernels.size(); ++first) {
        if (!is(kernels[first].launch)) {
            continue;
        }
        std::size_t last = first;
        while (last + 1 < kernels.size() && is(kernels[last + 1].launch)) {
            ++last;
        }
        text += fmt::format("{}{}", text.empty() ? "" : ", ", first + 1);
        text += last > first ? fmt::format("-{}", last + 1) : "";
        first = last;
    }
    return text.empty() ? "none" : text;
}

std::string left_out_text(const IterationPlan& plan, const PlannedDevice& device,
                          const Times& times) {
    const LeftOut left = left_out_of(plan, device);
    const int few = (device.multiprocessors + 3) / 4;
    const auto line = [](const char* what, double seconds, const std::string& which) {
        return fmt::format("  {:<13} {:>+7.1f} us  {}\n", what, seconds * 1e6, which);
    };
    std::string text = fmt::format("left out of that, predicted for {} multiprocessors:\n",
                                   device.multiprocessors);
    text += line("whole waves", left.whole_waves,
                 "kernels of more blocks than run at once: " +
                     numbers(plan, [&](const KernelLaunch& launch) {
                         return waves_of(launch, device) > 1 && !launch.cooperative;
                     }));
    text +=
        line("idle", left.idle,
             fmt::format("kernels on at most {} multiprocessors: {}", few,
                         numbers(plan, [&](const KernelLaunch& launch) {
                             return launch.block > 0 && busy_multiprocessors(launch, device) <= few;
                         })));
    text += line("first loads", left.first_load,
                 fmt::format("{:.2f} us from L2, {:.2f} us from memory, in every kernel",
                             device.l2_seconds * 1e6, device.memory_seconds * 1e6));
    text += line(
        "split sums", left.split_sum,
        fmt::format("{:.1f} us in each of {}", device.split_seconds * 1e6,
                    numbers(plan, [](const KernelLaunch& launch) { return launch.splits > 1; })));
    return text + fmt::format(
                      "with them {:.1f} us, {:.2f} times the floor; not in it: how far loads of "
                      "few threads are from the bandwidth\n",
                      (times.plan() + left.sum()) * 1e6, (times.plan() + left.sum()) / times.floor);
}

Json counted_json(const PlannedKernel& kernel) {
    if (!kernel.counted) {
        return {};
    }
    const KernelTraffic& counted = *kernel.counted;
    return {{"read", counted.read},
            {"written", counted.written},
            {"partial", counted.partial},
            {"by_blocks", kernel.launch.cooperative ? Json() : Json(counted.by_blocks)},
            {"by_threads", counted.by_threads}};
}

} // namespace

std::string plan_text(const IterationPlan& plan, const PlannedDevice& device) {
    const Times times = times_of(plan, device);
    std::string text = table_text(plan, device);
    text += fmt::format(
        "\n{} nodes, {} barriers of the whole device; {:.1f} MB asked, {:.1f} MB from memory, "
        "{:.2f} GFLOP\n",
        plan.kernels.size(), plan.barriers(), plan.operand_bytes() * 1e-6,
        plan.memory_bytes() * 1e-6, plan.operations() * 1e-9);
    text += counts_text(plan);
    text += fmt::format(
        "working set {:.1f} MB: {}\n", plan.working_set * 1e-6,
        plan.fits_cache
            ? "stays in L2; memory carries moments, updated weights and the gathered patches"
            : "beyond L2; every operand counts as carried by memory");
    text += fmt::format("{:.0f} parameters x 24 B = {:.1f} MB: memory carries {:.3f} times that\n",
                        plan.parameters, plan.adam_bytes() * 1e-6,
                        plan.memory_bytes() / plan.adam_bytes());
    text += fmt::format("at {:.0f} GB/s and {:.0f} TFLOP/s: floor {:.1f} us (24 B a parameter, all "
                        "operations);\n"
                        "this plan {:.1f} us in kernels + {:.1f} us for {} nodes = {:.1f} us, "
                        "{:.2f} times the floor\n",
                        device.bytes_per_second * 1e-9, device.operations_per_second * 1e-12,
                        times.floor * 1e6, times.kernels * 1e6, times.nodes * 1e6,
                        plan.kernels.size(), times.plan() * 1e6, times.plan() / times.floor);
    text += left_out_text(plan, device, times);
    text += "Arithmetic, not a measurement: `make bench-gpu` measures on a GPU.\n";
    return text;
}

std::string plan_json(const IterationPlan& plan, const PlannedDevice& device) {
    const Times times = times_of(plan, device);
    Json kernels = Json::array();
    for (const PlannedKernel& kernel : plan.kernels) {
        const KernelLaunch& launch = kernel.launch;
        kernels.push_back({{"name", launch.name},
                           {"grid", std::to_array(launch.grid)},
                           {"block", launch.block},
                           {"cooperative", launch.cooperative},
                           {"shared_bytes", launch.shared_bytes},
                           {"waves", waves_of(launch, device)},
                           {"busy_multiprocessors", busy_multiprocessors(launch, device)},
                           {"splits", launch.splits},
                           {"bytes", launch.bytes},
                           {"counted", counted_json(kernel)},
                           {"memory_bytes", kernel.memory_bytes()},
                           {"operations", launch.operations},
                           {"floor_seconds", floor_seconds(kernel, device)}});
    }
    const LeftOut left = left_out_of(plan, device);
    const Json document = {
        {"batch_size", plan.batch_size},
        {"parameters", plan.parameters},
        {"working_set_bytes", plan.working_set},
        {"fits_cache", plan.fits_cache},
        {"nodes", plan.kernels.size()},
        {"barriers", plan.barriers()},
        {"bytes", plan.operand_bytes()},
        {"counted_bytes", plan.counted ? Json(plan.counted_sum().bytes()) : Json()},
        {"memory_bytes", plan.memory_bytes()},
        {"counted_memory_bytes", plan.counted ? Json(plan.counted_memory_bytes()) : Json()},
        {"adam_bytes", plan.adam_bytes()},
        {"operations", plan.operations()},
        {"floor_seconds", times.floor},
        {"kernel_seconds", times.kernels},
        {"node_seconds", times.nodes},
        {"multiprocessors", device.multiprocessors},
        {"left_out_seconds",
         {{"whole_waves", left.whole_waves},
          {"idle", left.idle},
          {"first_loads", left.first_load},
          {"split_sums", left.split_sum}}},
        {"kernels", kernels}};
    return document.dump(1) + "\n";
}

} // namespace patchforge
