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

namespace patchforge::bench {
namespace {

void run(const Options& options) {
    const Patches patches;
    const auto backend = make_backend(options.device, {.threads = options.threads});
    const Machine machine = measure_machine(*backend, options.threads);
    const ClassifierFormat format{3, 50, 50, {"0", "1"}, false};
    std::vector<std::string> columns = step_columns();
    columns.insert(columns.begin(), "batch");
    Table table(columns);
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
        const ForwardOperations forward = forward_operations(shape);
        const double flop = (3 * forward.all - forward.first) * static_cast<double>(batch);
        const Floor floor =
            floor_of(machine, 24 * static_cast<double>(shape.parameter_count()), flop);
        std::vector<std::string> row = step_cells(timing, floor, flop, batch);
        row.insert(row.begin(), std::to_string(batch));
        table.add(row);
        json.push_back(step_line("classifier_step", *backend, batch, timing) + R"(, "network": )" +
                       texts_of({shape}) + "}");
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
