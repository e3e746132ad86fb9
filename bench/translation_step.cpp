// A whole iteration of `train translate`, as the shipped trainers run it: gathering and turning the batch,
// all networks, losses, Adam, metrics. --network says whose:
//     cycle             CycleGAN: residual networks of 32 channels, two halvings and two blocks
//     paired            the stain's pairs by the small residual network
//     unet              the stain's pairs by pix2pix's U-Net
//     super-resolution  EDSR of 16 channels, 25x25 to 50x50
//
// The floor: 24 bytes a parameter at the measured bandwidth, and the operations of all passes at the
// measured peak; whichever is longer.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

#include "bench/measure.h"
#include "bench/workload.h"
#include "host/translate/cycle_trainer.h"
#include "host/translate/pair_trainer.h"
#include "host/translate/translate_options.h"

namespace patchforge::bench {
namespace {

// A trainer and what it reads.
struct Case {
    TranslateOptions translate;
    PicturePairs pairs;
    std::unique_ptr<TranslationTrainer> trainer;
};

TranslateOptions options_of(const std::string& name, std::int64_t batch) {
    TranslateOptions options = translate_preset(name == "super-resolution" ? name : "stain");
    if (name == "cycle") { // the paper's game, as the peer plays it
        options = {};
        choose_mode(options, TranslationMode::cycle);
        options.generator = GeneratorKind::resnet;
        options.width = 32;
        options.blocks = 2;
        options.width_d = 32;
    } else if (name == "paired") {
        options.generator = GeneratorKind::resnet_small;
    } else if (name != "unet" && name != "super-resolution") {
        throw std::invalid_argument("--network " + name +
                                    ": use cycle, paired, unet or super-resolution");
    }
    options.batch_size = batch;
    options.steps = 1'000'000'000; // rates that stay
    options.validate();
    return options;
}

// Random ones, as those of the peers.
PicturePairs pairs_of(const PatchRows& patches, const TranslateOptions& options) {
    const Image picture = picture_of(patches, 0);
    const Image source = pair_source(picture, options), target = pair_target(picture, options);
    PicturePairs pairs;
    pairs.count = patches.count;
    pairs.source = {source.channels, source.height, source.width};
    pairs.target = {target.channels, target.height, target.width};
    pairs.rows = random_levels(pairs.count * (pairs.source.size() + pairs.target.size()));
    return pairs;
}

Case make_case(Backend& backend, const std::string& name, std::int64_t batch, std::uint64_t seed,
               const PatchRows& patches) {
    Case made{options_of(name, batch), {}, nullptr};
    made.translate.seed = seed;
    if (name == "cycle") {
        PatchRows a = patches, b = patches;
        for (std::int32_t i = 0; i < patches.count; ++i) {
            (i % 2 == 0 ? a : b).subset.push_back(i);
        }
        made.trainer = std::make_unique<CycleTrainer>(backend, made.translate, a, b);
    } else {
        made.pairs = pairs_of(patches, made.translate);
        made.trainer = std::make_unique<PairTrainer>(backend, made.translate, made.pairs);
    }
    return made;
}

// Operations a picture of an iteration. A generator whose input is data: forward, weight gradients, and
// input gradients but those of the first layer; layers that are not trained forward alone. That of a cycle
// does so for its own picture and the other's, and all of it for the fake. A discriminator: two rows with
// weight gradients, then one with all input gradients.
double operations(const TranslationTrainer& trainer) {
    double sum = 0;
    for (const auto& [name, network] : trainer.networks()) {
        const ForwardOperations forward = forward_operations(network->shape());
        double fixed = 0;
        for (const LayerShape& layer : network->shape().layers) {
            fixed += layer.has_weights() && !layer.trained ? layer.layer->operations(1) : 0;
        }
        if (name.starts_with("discriminator")) {
            sum += 8 * forward.all - 2 * forward.first;
        } else if (trainer.options().mode == TranslationMode::cycle) {
            sum += 9 * forward.all - 2 * forward.first;
        } else {
            sum += 3 * forward.all - forward.first - 2 * fixed;
        }
    }
    return sum;
}

// Mean over iterations 17 to 32 of what all discriminators lose, and of what generators do, distances as they
// are.
std::pair<double, double> early_losses(TranslationTrainer& trainer) {
    double d = 0, g = 0;
    trainer.run(16);
    for (const std::vector<double>& row : trainer.run(16)) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string& name = trainer.metric_names()[i];
            d += name.starts_with("d_loss") ? row[i] / 16 : 0;
            g += name.starts_with("g_adversarial") || name.starts_with("cycle") ||
                         name.starts_with("identity") || name == "l1"
                     ? row[i] / 16
                     : 0;
        }
    }
    return {d, g};
}

void run(const Options& options) {
    const std::string name = options.network.empty() ? "cycle" : options.network;
    const Patches patches;
    const auto backend = make_backend(options.device, {.threads = options.threads});
    const Machine machine = measure_machine(*backend, options.threads);
    std::vector<std::string> columns = step_columns();
    columns.insert(columns.begin(), "batch");
    Table table(columns);
    std::vector<std::string> json;
    for (const std::int64_t batch : options.batches) {
        Case made;
        double loss_d = 0, loss_g = 0;
        for (int game = 1; game <= early_games; ++game) {
            made =
                make_case(*backend, name, batch, static_cast<std::uint64_t>(game), patches.rows());
            const auto [of_d, of_g] = early_losses(*made.trainer);
            loss_d += of_d / early_games;
            loss_g += of_g / early_games;
        }
        TranslationTrainer& trainer = *made.trainer;
        const Timing timing = measure(*backend, options.seconds, [&](std::int64_t repeats) {
            for (; repeats > 0; repeats -= Iterations::maximum_run) {
                trainer.run(std::min(repeats, Iterations::maximum_run));
            }
        });
        std::vector<NetworkShape> shapes;
        double parameters = 0;
        for (const auto& [which, network] : trainer.networks()) {
            shapes.push_back(network->shape());
            parameters += static_cast<double>(network->shape().parameter_count());
        }
        const double flop = operations(trainer) * static_cast<double>(batch);
        const Floor floor = floor_of(machine, 24 * parameters, flop);
        std::vector<std::string> row = step_cells(timing, floor, flop, batch);
        row.insert(row.begin(), std::to_string(batch));
        table.add(row);
        json.push_back(step_line("translation_step", *backend, batch, timing) +
                       fmt::format(R"(, "floor_bytes_ms": {:.5f}, "floor_operations_ms": {:.5f}, )"
                                   R"("losses": [{:.4f}, {:.4f}], "network": {}}})",
                                   floor.bytes, floor.operations, loss_d, loss_g,
                                   texts_of(shapes)));
        fmt::print(stderr, "batch {}: {:.3f} ms\n", batch, timing.median);
    }
    publish(options,
            "# Iteration of pictures from pictures\n\nMilliseconds a whole iteration (" + name +
                ", gathering and turning included): median, 5th and 95th percentile, beside the "
                "floor.\n\n" +
                circumstances(*backend, machine) + "\n" + table.text(),
            json);
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    return patchforge::bench::run_bench(argc, argv, {1, 4}, patchforge::bench::run);
}
