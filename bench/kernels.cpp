// Every operation at the sizes of the GANs (hidden layers of 256, patches of 7500, convolutions of 16 to
// 128 channels), each beside its floor: bytes that it must move at the measured bandwidth, operations at the measured peak.
//
// On a GPU the inputs rotate through copies that together exceed its caches. A CPU is measured as
// the iteration uses it: whatever the caches keep from call to call, they keep.
#include <fmt/format.h>

#include <algorithm>

#include "bench/kernel_cases.h"
#include "host/run/version.h"

namespace patchforge::bench {
namespace {

void run(const Options& options) {
    const auto backend = make_backend(options.device, {.threads = options.threads});
    const Machine machine = measure_machine(*backend, options.threads);
    Table table(
        {"operation", "batch", "us", "5%", "95%", "GB/s", "GFLOP/s", "floor us", "share of floor"});
    std::vector<std::string> json;
    for (const std::int64_t batch : options.batches) {
        const Inputs inputs(*backend, batch);
        std::vector<Case> cases;
        for (const auto family :
             {linear_cases, convolution_cases, training_cases, map_cases, attack_cases}) {
            std::ranges::move(family(*backend, inputs, batch), std::back_inserter(cases));
        }
        for (const Case& c : cases) {
            const Timing timing = measure(*backend, options.seconds, [&](std::int64_t repeats) {
                for (std::int64_t i = 0; i < repeats; ++i) {
                    c.enqueue(i);
                }
            });
            const double floor = std::max(c.bytes / machine.bytes_per_second,
                                          machine.operations_per_second > 0
                                              ? c.operations / machine.operations_per_second
                                              : 0) *
                                 1e3;
            table.add(
                {c.name, std::to_string(batch), fmt::format("{:.1f}", timing.median * 1e3),
                 fmt::format("{:.1f}", timing.p5 * 1e3), fmt::format("{:.1f}", timing.p95 * 1e3),
                 fmt::format("{:.1f}", c.bytes / timing.median * 1e-6),
                 c.operations > 0 ? fmt::format("{:.0f}", c.operations / timing.median * 1e-6) : "",
                 fmt::format("{:.1f}", floor * 1e3),
                 fmt::format("{:.0f}%", 100 * floor / timing.median)});
            json.push_back(fmt::format(
                R"({{"bench": "kernel", "operation": "{}", "commit": "{}", "device": "{}", )"
                R"("batch": {}, "ms": {:.6f}, "p5": {:.6f}, "p95": {:.6f}, "bytes": {:.0f}, )"
                R"("operations": {:.0f}, "floor_ms": {:.6f}}})",
                c.name, commit(), backend->description(), batch, timing.median, timing.p5,
                timing.p95, c.bytes, c.operations, floor));
        }
    }
    publish(options,
            "# Operations\n\nMicroseconds a call: median, 5th and 95th percentile, beside the "
            "floor. A share above 100% means that the caches, not the memory, held the data.\n\n" +
                circumstances(*backend, machine) + "\n" + table.text(),
            json);
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    return patchforge::bench::run_bench(argc, argv, {1, 10, 64, 256, 1024}, patchforge::bench::run);
}
