// A whole GAN iteration, as `train gan` runs it: gathering the batch, random numbers, both
// networks, both Adam steps, metrics. Networks 7500-256-256-1 and 64-256-256-7500.
//
// The floor: 24 bytes a parameter (Adam reads and writes weight and both moments) at the measured
// bandwidth, and the operations of the products at the measured peak; whichever is longer.
//
// On a GPU that can, each batch is timed a second time with overlapping launches, right after the
// first.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/measure.h"
#include "host/run/version.h"
#include "host/train/gan_trainer.h"

namespace patchforge::bench {
namespace {

constexpr std::int64_t pixels = 7500;
constexpr std::int64_t patches = 4096; // 31 MB of bytes, more than a cache holds

std::int64_t weights(const NetworkShape& shape) {
    std::int64_t count = 0;
    for (const LayerShape& layer : shape.layers) {
        count += layer.inputs * layer.outputs;
    }
    return count;
}

std::int64_t first_layer(const NetworkShape& shape) {
    return shape.layers.front().inputs * shape.layers.front().outputs;
}

// Operations a row of the batch. G: forward twice, weight and input gradients, but none for z.
// D: forward and weight gradients on two rows, input gradients but those of the first layer, then
// forward and all input gradients on one.
double operations(const NetworkShape& d, const NetworkShape& g) {
    const std::int64_t products =
        4 * weights(g) - first_layer(g) + 8 * weights(d) - 2 * first_layer(d);
    return 2.0 * static_cast<double>(products);
}

// Mean losses of D and G over iterations 17 to 32, to see that peers play the same game.
std::pair<double, double> early_losses(GanTrainer& trainer) {
    trainer.run(16);
    double d = 0;
    double g = 0;
    for (const GanMetrics& metrics : trainer.run(16)) {
        d += metrics.loss_d() / 16;
        g += metrics.loss_g / 16;
    }
    return {d, g};
}

Timing iterations(Backend& backend, GanTrainer& trainer, double seconds) {
    return measure(backend, seconds, [&](std::int64_t repeats) {
        while (repeats > 0) {
            const std::int64_t count = std::min(repeats, GanTrainer::maximum_run);
            trainer.run(count);
            repeats -= count;
        }
    });
}

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

void run(const Options& options) {
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(patches * pixels));
    std::uint32_t state = 1;
    for (std::uint8_t& byte : bytes) {
        state = state * 1664525u + 1013904223u;
        byte = static_cast<std::uint8_t>(state >> 24);
    }
    PatchRows rows;
    rows.pixels = bytes.data();
    rows.count = patches;
    rows.channels = 3;
    rows.height = 50;
    rows.width = 50;

    const auto backend = make_backend(options.device, {.threads = options.threads});
    const auto overlapping_backend = overlapping(*backend);
    const Machine machine = measure_machine(*backend, options.threads);
    std::vector<std::string> columns = {
        "batch",          "ms",      "5%",       "95%", "floor: bytes", "operations",
        "share of floor", "GFLOP/s", "samples/s"};
    if (overlapping_backend) {
        columns.insert(columns.end(), {"overlapped ms", "5%", "95%"});
    }
    Table table(columns);
    std::vector<std::string> json;
    for (const std::int64_t batch : options.batches) {
        GanOptions gan;
        gan.batch_size = batch;
        gan.drop_last = true;
        gan.epochs = 1'000'000;
        gan.beta1 = 0.9;
        const NetworkShape d = discriminator_shape(gan, pixels);
        const NetworkShape g = generator_shape(gan, pixels);
        GanTrainer trainer(*backend, gan, rows);
        const auto [loss_d, loss_g] = early_losses(trainer);
        const Timing timing = iterations(*backend, trainer, options.seconds);
        const auto parameters = static_cast<double>(d.parameter_count() + g.parameter_count());
        const double by_bytes = 24 * parameters / machine.bytes_per_second * 1e3;
        const double flop = operations(d, g) * static_cast<double>(batch);
        const double by_operations =
            machine.operations_per_second > 0 ? flop / machine.operations_per_second * 1e3 : 0;
        const double floor = std::max(by_bytes, by_operations);
        std::vector<std::string> row = {
            std::to_string(batch),
            fmt::format("{:.3f}", timing.median),
            fmt::format("{:.3f}", timing.p5),
            fmt::format("{:.3f}", timing.p95),
            fmt::format("{:.3f}", by_bytes),
            by_operations > 0 ? fmt::format("{:.3f}", by_operations) : "unknown",
            fmt::format("{:.0f}%", 100 * floor / timing.median),
            fmt::format("{:.0f}", flop / timing.median * 1e-6),
            fmt::format("{:.0f}", static_cast<double>(batch) / timing.median * 1e3)};
        std::string overlapped_json;
        if (overlapping_backend) {
            GanTrainer overlapped(*overlapping_backend, gan, rows);
            overlapped.run(32); // as often as the other one has before its timing
            const Timing other = iterations(*overlapping_backend, overlapped, options.seconds);
            for (const double value : {other.median, other.p5, other.p95}) {
                row.push_back(fmt::format("{:.3f}", value));
            }
            overlapped_json = fmt::format(R"(, "overlapped_ms": {:.5f}, "overlapped_p5": {:.5f}, )"
                                          R"("overlapped_p95": {:.5f})",
                                          other.median, other.p5, other.p95);
        }
        table.add(row);
        json.push_back(fmt::format(
            R"({{"bench": "gan_iteration", "program": "patchforge", "commit": "{}", "device": "{}", )"
            R"("batch": {}, "ms": {:.5f}, "p5": {:.5f}, "p95": {:.5f}, "floor_bytes_ms": {:.5f}, )"
            R"("floor_operations_ms": {:.5f}, "losses": [{:.4f}, {:.4f}]{}}})",
            commit(), backend->description(), batch, timing.median, timing.p5, timing.p95, by_bytes,
            by_operations, loss_d, loss_g, overlapped_json));
        fmt::print(stderr, "batch {}: {:.3f} ms\n", batch, timing.median);
    }
    const std::string about_overlapped =
        overlapping_backend ? " Overlapped: each kernel may be started while the one before still "
                              "runs (--overlap-launches)."
                            : "";
    publish(options,
            "# GAN iteration\n\nMilliseconds a whole iteration (7500-256-256-1 against "
            "64-256-256-7500, gathering and random numbers included): median, 5th and 95th "
            "percentile, beside the floor." +
                about_overlapped + "\n\n" + circumstances(*backend, machine) + "\n" + table.text(),
            json);
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    return patchforge::bench::run_bench(argc, argv, {1, 10, 32, 64, 100, 256},
                                        patchforge::bench::run);
}
