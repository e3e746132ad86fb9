// A classifier's training step, as `train classifier` runs it: gathering the batch, forward with
// dropout, cross-entropy, backward, Adam, metrics. Networks 7500-256-256-2 or --network.
//
// The floor: 24 bytes a parameter at the measured bandwidth, and the operations of three passes
// (none for the input's gradient) at the measured peak; whichever is longer.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "bench/measure.h"
#include "bench/workload.h"
#include "host/classifier/classifier_trainer.h"
#include "host/run/version.h"

namespace patchforge::bench {
namespace {

void run(const Options& options) {
    const Patches patches;
    const auto backend = make_backend(options.device, {.threads = options.threads});
    const Machine machine = measure_machine(*backend, options.threads);
    const ClassifierFormat format{3, 50, 50, {"0", "1"}, false};
    Table table({"batch", "ms", "5%", "95%", "floor: bytes", "operations", "share of floor",
                 "GFLOP/s", "samples/s"});
    std::vector<std::string> json;
    for (const std::int64_t batch : options.batches) {
        ClassifierOptions classifier;
        classifier.network = options.network;
        classifier.batch_size = batch;
        classifier.epochs = 1'000'000;
        ClassifierTrainer trainer(*backend, classifier, format, patches.rows());
        const NetworkShape& shape = trainer.model().network().shape();
        const Timing timing = measure(*backend, options.seconds, [&](std::int64_t repeats) {
            for (; repeats > 0; repeats -= ClassifierTrainer::maximum_run) {
                trainer.run(std::min(repeats, ClassifierTrainer::maximum_run));
            }
        });
        const double by_bytes =
            24 * static_cast<double>(shape.parameter_count()) / machine.bytes_per_second * 1e3;
        const ForwardOperations forward = forward_operations(shape);
        const double flop = (3 * forward.all - forward.first) * static_cast<double>(batch);
        const double by_operations =
            machine.operations_per_second > 0 ? flop / machine.operations_per_second * 1e3 : 0;
        table.add({std::to_string(batch), fmt::format("{:.3f}", timing.median),
                   fmt::format("{:.3f}", timing.p5), fmt::format("{:.3f}", timing.p95),
                   fmt::format("{:.3f}", by_bytes),
                   by_operations > 0 ? fmt::format("{:.3f}", by_operations) : "unknown",
                   fmt::format("{:.0f}%", 100 * std::max(by_bytes, by_operations) / timing.median),
                   fmt::format("{:.0f}", flop / timing.median * 1e-6),
                   fmt::format("{:.0f}", static_cast<double>(batch) / timing.median * 1e3)});
        json.push_back(fmt::format(
            R"({{"bench": "classifier_step", "program": "patchforge", "commit": "{}", )"
            R"("device": "{}", "batch": {}, "ms": {:.5f}, "p5": {:.5f}, "p95": {:.5f}, )"
            R"("network": {}}})",
            commit(), backend->description(), batch, timing.median, timing.p5, timing.p95,
            texts_of({shape})));
        fmt::print(stderr, "batch {}: {:.3f} ms\n", batch, timing.median);
    }
    publish(options,
            "# Classifier training step\n\nMilliseconds a step (" +
                (options.network.empty() ? "7500-256-256-2" : "--network " + options.network) +
                ", gathering and dropout included): median, 5th and 95th percentile, beside the "
                "floor.\n\n" +
                circumstances(*backend, machine) + "\n" + table.text(),
            json);
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    return patchforge::bench::run_bench(argc, argv, {1, 64}, patchforge::bench::run);
}
