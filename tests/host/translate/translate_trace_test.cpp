// Our training against PyTorch's, from the same weights and pictures: translate_trace.json was recorded
// in float64 by record_translate_trace.py beside it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "host/translate/cycle_trainer.h"
#include "host/translate/pair_trainer.h"
#include "host/translate/refine_trainer.h"
#include "tests/host/train/trace.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

class TranslateTrace : public testing::BackendTest {
  protected:
    void SetUp() override {
        BackendTest::SetUp();
        trace_ = testing::read_trace("translate/translate_trace.json");
    }
    TranslateOptions options(TranslationMode mode) const {
        TranslateOptions options;
        choose_mode(options, mode);
        options.width = options.width_d = 3;
        options.blocks = 1;
        options.layers_d = 1;
        options.flips = false;
        options.rates = {};
        options.beta1 = 0.5;
        options.batch_size = trace_.at("batch_size").integer();
        options.steps = trace_.at("steps").integer();
        options.seed = trace_.at("seed").natural();
        options.learning_rate = trace_.at("lr").number();
        options.adam_epsilon = trace_.at("epsilon").number();
        options.pool = trace_.at("pool").integer();
        return options;
    }
    std::vector<std::uint8_t> bytes(std::int64_t count, std::int64_t pixels, int salt) const {
        std::vector<std::uint8_t> bytes = testing::trace_patches(count, pixels);
        for (std::uint8_t& byte : bytes) {
            byte = static_cast<std::uint8_t>(byte + salt);
        }
        return bytes;
    }
    // Every trained tensor of a network; layers in their order, weight before bias.
    template <class Body>
    static void for_each_tensor(const Network& network, const Body& body) {
        for (std::int64_t l = 0; l < network.layer_count(); ++l) {
            const LayerShape& layer = network.shape().layers[static_cast<std::size_t>(l)];
            if (layer.has_weights() && layer.trained) {
                body(network.weight(l).flat());
                if (layer.bias) {
                    body(network.bias(l));
                }
            }
        }
    }
    static void set_waves(Network& network, int number) {
        int tensor = 0;
        for_each_tensor(network, [&](Vector<float> values) {
            std::vector<float> wave;
            for (std::int64_t i = 0; i < values.size; ++i) {
                wave.push_back(static_cast<float>(
                    0.2 * std::cos(0.5 * static_cast<double>(i) + tensor + 7 * number)));
            }
            network.backend().upload(values.data, wave.data(), wave.size() * sizeof(float));
            ++tensor;
        });
    }
    // Trains and compares; `networks` in the order of the trace.
    void follow(TranslationTrainer& trainer, const Json& run,
                const std::vector<std::string>& networks, const std::string& what) {
        for (std::size_t n = 0; n < networks.size(); ++n) {
            set_waves(trainer.network(networks[n]), static_cast<int>(n));
        }
        const auto metrics = trainer.run(trace_.at("steps").integer());
        for (std::size_t step = 0; step < metrics.size(); ++step) {
            // Values of order 1, of three networks behind each other in float32.
            testing::expect_near(metrics[step], run.at("metrics").items()[step], 3e-5,
                                 what + ", metrics of step " + std::to_string(step));
        }
        for (std::size_t n = 0; n < networks.size(); ++n) {
            std::vector<double> ours;
            for_each_tensor(trainer.network(networks[n]), [&](Vector<float> values) {
                std::vector<float> host(static_cast<std::size_t>(values.size));
                backend().download(host.data(), values.data, host.size() * sizeof(float));
                ours.insert(ours.end(), host.begin(), host.end());
            });
            // Adam moves a weight by up to 8 * 2e-3.
            testing::expect_near(ours, run.at("networks").items()[n], 1e-4,
                                 what + ", " + networks[n]);
        }
    }

    Json trace_;
};
PATCHFORGE_ON_EVERY_BACKEND(TranslateTrace);

TEST_P(TranslateTrace, PairsFollowPyTorch) {
    const int side = trace_.at("side").integer();
    const std::int64_t count = trace_.at("count_b").integer();
    for (const bool enlarges : {false, true}) {
        TranslateOptions run =
            options(enlarges ? TranslationMode::super_resolution : TranslationMode::paired);
        PicturePairs pairs;
        pairs.source = enlarges ? Extent{3, side / 2, side / 2} : Extent{1, side, side};
        pairs.target = {3, side, side};
        pairs.count = count;
        pairs.rows = bytes(count, pairs.source.size() + pairs.target.size(), 0);
        if (enlarges) {
            run.lambda_adversarial = 0.05;
        } else {
            run.width = 2;
        }
        PairTrainer trainer(backend(), run, pairs);
        const char* name = enlarges ? "super_resolution" : "paired";
        follow(trainer, trace_.at(name), {"generator", "discriminator"}, name);
    }
}

TEST_P(TranslateTrace, CyclesFollowPyTorch) {
    const int side = trace_.at("side").integer();
    const std::int64_t count_a = trace_.at("count_a").integer(),
                       count_b = trace_.at("count_b").integer();
    const auto bytes_a = bytes(count_a, 3 * side * side, 0);
    const auto bytes_b = bytes(count_b, 3 * side * side, 90);
    for (const Json& run : trace_.at("cycles").items()) {
        TranslateOptions game = options(TranslationMode::cycle);
        game.least_squares = run.at("least_squares").boolean();
        game.lambda_identity = run.at("identity").number();
        CycleTrainer trainer(backend(), game, {bytes_a.data(), count_a, 3, side, side, {}, {}},
                             {bytes_b.data(), count_b, 3, side, side, {}, {}});
        follow(trainer, run, {"generator_b", "discriminator_b", "generator_a", "discriminator_a"},
               game.least_squares ? "cycle, lsgan" : "cycle, bce");
    }
}

TEST_P(TranslateTrace, RefinementFollowsPyTorch) {
    const int side = trace_.at("side").integer();
    const std::int64_t drawings = trace_.at("count_a").integer(),
                       real = trace_.at("count_b").integer();
    const auto drawn = bytes(drawings, 3 * side * side, 0);
    const auto photographed = bytes(real, 3 * side * side, 90);
    for (const Json& run : trace_.at("refined").items()) {
        TranslateOptions game = options(TranslationMode::refine);
        game.refiner_steps = run.at("refiner_steps").integer();
        game.lambda_l1 = 3;
        if (run.at("scales").boolean()) {
            game.generator = GeneratorKind::refiner_scales;
            game.discriminator = Judging::two_scales;
            game.width = game.width_d = 2;
            game.learning_rate_d = 2 * game.learning_rate;
        }
        RefineTrainer trainer(backend(), game, {drawn.data(), drawings, 3, side, side, {}, {}},
                              {photographed.data(), real, 3, side, side, {}, {}});
        follow(trainer, run, {"generator", "discriminator"},
               fmt::format("refinement, {}, {}", game.refiner_steps,
                           run.at("scales").boolean() ? "scales" : "paper"));
    }
}

} // namespace
} // namespace patchforge
