// A whole GAN iteration, as `train gan` runs it: gathering the batch, random numbers, both
// networks, both Adam steps, metrics. Networks 7500-256-256-1 and 64-256-256-7500, or --network.
//
// The floor: 24 bytes a parameter (Adam reads and writes weight and both moments) at the measured
// bandwidth, and the operations of the products at the measured peak; whichever is longer.
//
// On a GPU each batch is timed in every way that it can be run, one right after the other.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/measure.h"
#include "bench/workload.h"
#include "host/gan/gan_presets.h"
#include "host/gan/gan_trainer.h"
#include "host/run/version.h"

namespace patchforge::bench {
namespace {

// Operations a row of the batch. G: forward twice (of one fake for both steps once), weight and input gradients, but none for z.
// D: forward and weight gradients on two rows, input gradients but those of the first layer, then
// forward and all input gradients on one.
double operations(const NetworkShape& d, const NetworkShape& g, bool one_fake) {
    const ForwardOperations of_d = forward_operations(d), of_g = forward_operations(g);
    return (one_fake ? 3 : 4) * of_g.all - of_g.first + 8 * of_d.all - 2 * of_d.first;
}

// Mean losses of D and G over iterations 17 to 32.
struct EarlyLosses {
    double d = 0, g = 0;
    void add(GanTrainer& trainer) {
        trainer.run(16);
        for (const GanMetrics& metrics : trainer.run(16)) {
            d += metrics.loss_d() / (16 * early_games);
            g += metrics.loss_g / (16 * early_games);
        }
    }
};

Timing iterations(Backend& backend, GanTrainer& trainer, double seconds) {
    return measure(backend, seconds, [&](std::int64_t repeats) {
        while (repeats > 0) {
            const std::int64_t count = std::min(repeats, GanTrainer::maximum_run);
            trainer.run(count);
            repeats -= count;
        }
    });
}

// How the same iterations are run: recorded, which is the default; and on a GPU overlapped
// (--overlap-launches) and persistent (--persistent), where it can do that.
struct Way {
    const char* name;
    Backend* backend;
    bool persistent = false;
};

// Null, with the reason on stderr, where launches cannot overlap.
std::unique_ptr<Backend> overlapping(const Backend& backend) {
    if (backend.name() == "cpu") {
        return nullptr;
    }
    try {
        return make_backend(backend.name(), {.overlap_launches = true});
    } catch (const std::runtime_error& error) {
        fmt::print(stderr, "not overlapped: {}\n", error.what());
        return nullptr;
    }
}

// Null, with the reason on stderr, where iterations cannot be run this way.
std::unique_ptr<GanTrainer> trainer_of(const Way& way, GanOptions gan, const PatchRows& rows) {
    gan.persistent = way.persistent;
    try {
        return std::make_unique<GanTrainer>(*way.backend, gan, rows);
    } catch (const std::invalid_argument& error) {
        if (!way.persistent) {
            throw;
        }
        fmt::print(stderr, "batch {}: not {}: {}\n", gan.batch_size, way.name, error.what());
        return nullptr;
    }
}

void run(const Options& options) {
    const Patches patches;
    const PatchRows& rows = patches.rows();
    const auto backend = make_backend(options.device, {.threads = options.threads});
    const auto overlapping_backend = overlapping(*backend);
    const Machine machine = measure_machine(*backend, options.threads);
    std::vector<Way> ways = {{"recorded", backend.get()}};
    if (overlapping_backend) {
        ways.push_back({"overlapped", overlapping_backend.get()});
    }
    if (backend->name() != "cpu") {
        ways.push_back({"persistent", backend.get(), true});
    }
    std::vector<std::string> columns = step_columns();
    columns.insert(columns.begin(), {"batch", "way"});
    Table table(columns);
    std::vector<std::string> json;
    for (const std::int64_t batch : options.batches) {
        GanOptions gan;
        gan.beta1 = 0.9;
        if (options.network == "tissue") {
            // The recipe is more than its networks; its peer moves pictures, which the preset leaves out.
            gan = gan_preset("tissue");
            gan.translation = 6;
        }
        gan.steps = 0;
        gan.batch_size = batch;
        gan.drop_last = true;
        gan.epochs = 1'000'000;
        gan.network = options.network;
        const auto [g, d] = gan_shapes(gan, {3, 50, 50}, 0, 0, 0);
        const auto parameters = static_cast<double>(d.parameter_count() + g.parameter_count());
        const double flop = operations(d, g, gan.one_fake) * static_cast<double>(batch);
        const Floor floor = floor_of(machine, 24 * parameters, flop);
        for (const Way& way : ways) {
            EarlyLosses losses;
            std::unique_ptr<GanTrainer> trainer;
            for (gan.seed = 1; gan.seed <= early_games; ++gan.seed) {
                trainer.reset();
                trainer = trainer_of(way, gan, rows);
                if (!trainer) {
                    break;
                }
                losses.add(*trainer);
            }
            if (!trainer) {
                continue;
            }
            const Timing timing = iterations(*way.backend, *trainer, options.seconds);
            std::vector<std::string> row = step_cells(timing, floor, flop, batch);
            row.insert(row.begin(), {std::to_string(batch), way.name});
            table.add(row);
            json.push_back(step_line("gan_iteration", *way.backend, batch, timing) +
                           fmt::format(R"(, "way": "{}", "floor_bytes_ms": {:.5f}, )"
                                       R"("floor_operations_ms": {:.5f}, )"
                                       R"("losses": [{:.4f}, {:.4f}], "network": {}}})",
                                       way.name, floor.bytes, floor.operations, losses.d, losses.g,
                                       texts_of({g, d})));
            fmt::print(stderr, "batch {}, {}: {:.3f} ms\n", batch, way.name, timing.median);
        }
    }
    publish(options,
            "# GAN iteration\n\nMilliseconds a whole iteration (" +
                (options.network.empty() ? "7500-256-256-1 against 64-256-256-7500"
                                         : "--network " + options.network) +
                ", gathering and random numbers included): median, 5th and 95th "
                "percentile, beside the floor. Recorded is the default; overlapped is "
                "--overlap-launches, "
                "persistent --persistent, which keeps weights on chip and so may pass the floor of "
                "bytes.\n\n" +
                circumstances(*backend, machine) + "\n" + table.text(),
            json);
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    return patchforge::bench::run_bench(argc, argv, {1, 10, 32, 64, 100, 256},
                                        patchforge::bench::run);
}
