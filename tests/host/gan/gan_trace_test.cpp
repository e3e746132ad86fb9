// Our training against PyTorch's, from the same weights, patches, noise and masks: gan_trace.json
// was recorded in float64 by record_gan_trace.py beside it.
#include <gtest/gtest.h>

#include <cmath>

#include "host/files/safetensors.h"
#include "host/gan/gan_trainer.h"
#include "tests/host/train/trace.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

class GanTrace : public testing::BackendTest {};

TEST_P(GanTrace, FollowsPyTorch) {
    const Json trace = testing::read_trace("gan/gan_trace.json");
    const int side = trace.at("side").integer();
    const int channels = trace.at("channels").integer();
    const std::int64_t count = trace.at("count").integer();
    const std::int64_t pixels = std::int64_t{channels} * side * side;
    const std::vector<std::uint8_t> bytes = testing::trace_patches(count, pixels);
    const PatchRows patches{bytes.data(), count, channels, side, side, {}, {}};
    for (const Json& run : trace.at("runs").items()) {
        GanOptions options;
        options.batch_size = trace.at("batch_size").integer();
        options.latent_dim = trace.at("latent_dim").integer();
        options.hidden_dims.assign(2, trace.at("hidden").integer());
        options.dropout = trace.at("dropout").number();
        options.learning_rate_d = options.learning_rate_g = trace.at("lr").number();
        options.seed = trace.at("seed").natural();
        options.steps = trace.at("steps").integer();
        options.beta1 = run.at("beta1").number();
        options.real_label = run.at("real_label").number();
        GanTrainer trainer(backend(), options, patches);
        const std::string name =
            "beta1 " + run.at("beta1").dump() + ", real label " + run.at("real_label").dump();
        const std::vector<GanMetrics> ours = trainer.run(options.steps);
        for (std::size_t step = 0; step < ours.size(); ++step) {
            // Losses of order 1 in float32: a few dozen roundings of 6e-8.
            testing::expect_near({ours[step].loss_d_real, ours[step].loss_d_fake,
                                  ours[step].probability_real, ours[step].probability_fake,
                                  ours[step].loss_g},
                                 run.at("losses").items()[step], 5e-6,
                                 name + ", losses of step " + std::to_string(step));
        }
        // Adam moves a weight by up to 8 * 2e-3; a tolerance of 1/300 of that tells every error of
        // the update's form from rounding.
        testing::expect_near(
            testing::flat(trainer.generator().weights(), trainer.generator().shape()),
            run.at("generator"), 5e-5, name + ", generator");
        testing::expect_near(
            testing::flat(trainer.discriminator().weights(), trainer.discriminator().shape()),
            run.at("discriminator"), 5e-5, name + ", discriminator");
    }
}

// Every value of a network's file, in the file's order.
std::vector<double> all_values(const Network& network) {
    std::vector<double> values;
    for (const Tensor& tensor : network.weights().tensors) {
        const auto numbers = f32(tensor);
        values.insert(values.end(), numbers.begin(), numbers.end());
    }
    return values;
}

// stack_trace.json by record_stack_trace.py: wrong pairs, two heads and the divergence.
TEST_P(GanTrace, AStageFollowsPyTorch) {
    const Json trace = testing::read_trace("gan/stack_trace.json");
    const int side = trace.at("side").integer(), channels = trace.at("channels").integer();
    const std::int64_t count = trace.at("count").integer(), classes = trace.at("classes").integer();
    const std::vector<std::uint8_t> bytes =
        testing::trace_patches(count, std::int64_t{channels} * side * side);
    std::vector<std::int32_t> labels;
    for (std::int64_t i = 0; i < count; ++i) {
        labels.push_back(static_cast<std::int32_t>(i * i % classes));
    }
    labels[0] = 2; // which no square is modulo 3
    GanOptions options;
    options.conditional = options.wrong_pairs = true;
    options.network_g = trace.at("network_g").string();
    options.network_d = trace.at("network_d").string();
    options.lambda_kl = trace.at("lambda_kl").number();
    options.batch_size = trace.at("batch_size").integer();
    options.latent_dim = trace.at("latent_dim").integer();
    options.learning_rate_d = options.learning_rate_g = trace.at("lr").number();
    options.seed = trace.at("seed").natural();
    options.steps = trace.at("steps").integer();
    options.validate();
    GanTrainer trainer(backend(), options, {bytes.data(), count, channels, side, side, labels, {}});
    const std::vector<GanMetrics> ours = trainer.run(options.steps);
    for (std::size_t step = 0; step < ours.size(); ++step) {
        testing::expect_near({ours[step].loss_d_real, ours[step].loss_d_fake,
                              ours[step].loss_d_wrong, ours[step].loss_g, ours[step].divergence},
                             trace.at("losses").items()[step], 5e-6,
                             "losses of step " + std::to_string(step));
    }
    testing::expect_near(all_values(trainer.generator()), trace.at("generator"), 5e-5, "generator");
    testing::expect_near(all_values(trainer.discriminator()), trace.at("discriminator"), 5e-5,
                         "discriminator");
}

PATCHFORGE_ON_EVERY_BACKEND(GanTrace);

} // namespace
} // namespace patchforge
