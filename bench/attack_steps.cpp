// Steps of gradient attacks in L-infinity against a classifier 7500-256-256-2, or --network, weights
// frozen: the gradient by the pixels and the step, as `attack` replays them. Milliseconds a step: of
// PGD in whole attacks of 40, of FGSM in attacks of one, the start from the sample included.
//
// The floor: the weights are read twice, the pixels (samples, scaled samples, gradient, origin)
// are read or written nine times, and the products are done once forward and once backward;
// whichever is longer. Weights of 8 MB may well stay in a cache: then the first is no floor.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <utility>
#include <vector>

#include "bench/measure.h"
#include "bench/workload.h"
#include "host/attack/attack_options.h"
#include "host/network/named_networks.h"
#include "host/run/version.h"

namespace patchforge::bench {
namespace {

constexpr double epsilon = 8.0 / 255;

NetworkShape shape_of(const ClassifierFormat& format, const std::string& network) {
    return network.empty()
               ? classifier_shape(format, {256, 256}, 0.5f)
               : network_shape_from_description(classifier_text(
                     network, {format.channels, format.height, format.width}, format.outputs()));
}

void run(const Options& options) {
    const auto backend = make_backend(options.device, {.threads = options.threads});
    const Machine machine = measure_machine(*backend, options.threads);
    const ClassifierFormat format{3, 50, 50, {"0", "1"}, false};
    ClassifierModel model(*backend, shape_of(format, options.network), format);
    model.network().initialise(1, 0);
    const std::int64_t pixels = model.pixels();
    const auto parameters = static_cast<double>(model.network().shape().parameter_count());

    Table table({"attack", "batch", "ms a step", "5%", "95%", "floor: bytes", "operations",
                 "steps/s", "sample steps/s"});
    std::vector<std::string> json;
    for (const std::int64_t batch : options.batches) {
        const std::vector<std::uint8_t> levels = random_levels(batch * pixels);
        std::vector<std::int64_t> samples(static_cast<std::size_t>(batch));
        std::iota(samples.begin(), samples.end(), 0);
        const AttackSet set{levels, std::vector<std::int32_t>(samples.size(), 0), {}};
        AttackBatch rows(*backend, batch, pixels);
        rows.load(set, samples, set.labels);
        WhiteBoxVictim victim({&model}, batch);
        for (const auto& [name, label] : {std::pair{"fgsm", "fgsm"}, std::pair{"pgd", "pgd-40"}}) {
            AttackOptions attack_options;
            attack_options.method = attack_method(name);
            attack_options.random_start = false;
            attack_options.batch_size = batch;
            attack_options.steps = 40; // of pgd
            const auto steps_each = static_cast<double>(attack_options.steps_of(pixels));
            const std::unique_ptr<Attack> attack =
                attack_options.method->prepare({victim, nullptr, rows, set, attack_options});
            Timing timing = measure(*backend, options.seconds, [&](std::int64_t repeats) {
                for (std::int64_t i = 0; i < repeats; ++i) {
                    attack->run(0, epsilon, 0);
                }
            });
            for (double* const value : {&timing.median, &timing.p5, &timing.p95}) {
                *value /= steps_each;
            }
            const double bytes = 4 * (2 * parameters + 9.0 * static_cast<double>(batch * pixels));
            const double flop =
                2 * forward_operations(model.network().shape()).all * static_cast<double>(batch);
            const Floor floor = floor_of(machine, bytes, flop);
            const double steps = 1e3 / timing.median;
            table.add({label, std::to_string(batch), fmt::format("{:.4f}", timing.median),
                       fmt::format("{:.4f}", timing.p5), fmt::format("{:.4f}", timing.p95),
                       fmt::format("{:.4f}", floor.bytes), floor.operations_text(4),
                       fmt::format("{:.0f}", steps),
                       fmt::format("{:.0f}", steps * static_cast<double>(batch))});
            json.push_back(step_line("attack_steps", *backend, batch, timing) +
                           fmt::format(R"(, "method": "{}", "network": {}}})", label,
                                       texts_of({model.network().shape()})));
        }
    }
    publish(options,
            "# Attack steps\n\nMilliseconds a step (" +
                (options.network.empty() ? "7500-256-256-2" : "--network " + options.network) +
                ", L-infinity, input gradient alone): median, 5th and 95th percentile, beside the "
                "floor.\n\n" +
                circumstances(*backend, machine) + "\n" + table.text(),
            json);
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    return patchforge::bench::run_bench(argc, argv, {1, 64}, patchforge::bench::run);
}
