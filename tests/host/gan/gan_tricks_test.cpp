// The options of GAN training: each resumes exactly and does the same on every backend.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>

#include "host/files/safetensors.h"
#include "host/gan/gan_presets.h"
#include "tests/host/gan/small_gan.h"
#include "tests/host/train/restored.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

using testing::Patches;
using testing::small_options;

struct Variant {
    const char* name;
    void (*apply)(GanOptions&);
};
const std::vector<Variant>& variants() {
    static const std::vector<Variant> all = {
        {"minimax", [](GanOptions& o) { choose_loss(o, "minimax"); }},
        {"lsgan", [](GanOptions& o) { choose_loss(o, "lsgan"); }},
        {"hinge, rates and widths of their own",
         [](GanOptions& o) {
             choose_loss(o, "hinge");
             o.learning_rate_d = 4e-4;
             o.hidden_dims_d = {19};
             o.hidden_dims_g = {7, 8, 9};
             o.activation_g = Activation::leaky_relu;
             o.activation_d = Activation::tanh;
         }},
        {"wgan", [](GanOptions& o) { choose_loss(o, "wgan"), o.n_critic = 3; }},
        {"wgan-gp", [](GanOptions& o) { choose_loss(o, "wgan-gp"), o.n_critic = 2; }},
        {"decay", [](GanOptions& o) { o.rates.decay_epoch = 1, o.n_critic = 2; }},
        {"cosine", [](GanOptions& o) { o.rates.shape = RateOptions::Shape::cosine; }},
        {"ema", [](GanOptions& o) { o.ema = 0.9; }},
        {"instance noise",
         [](GanOptions& o) { o.instance_noise = 0.2, o.instance_noise_steps = 4, o.n_critic = 2; }},
        {"pixel loss", [](GanOptions& o) { o.lambda_pixel = 5; }},
        {"layers, with an average",
         [](GanOptions& o) {
             o.network_g = "5>48; view 4x3x4 norm=batch relu; upsampled 4>3 crop norm=batch relu "
                           "as=maps; conv 3>3 k3 p1; add maps leaky_relu; conv 3>1 k3 p1 tanh";
             o.network_d = "1x5x7; conv 1>3 k3 s2 p1 leaky_relu; conv 3>4 k3 p1 norm=batch "
                           "leaky_relu dropout=0.2; pool max k2 s1; linear 24>1";
             o.ema = 0.9;
             o.n_critic = 2;
         }},
        {"patches changed before D",
         [](GanOptions& o) {
             o.symmetries = o.dequantise = true;
             o.translation = 2;
             o.cutout = 3;
             o.n_critic = 2;
             o.conditional = true;
             o.instance_noise = 0.1;
         }},
        {"the parts of the tissue recipe",
         [](GanOptions& o) {
             o.network_g =
                 "5>48; view 4x3x4 norm=batch leaky_relu as=start; 5>6 from=input init=0.05 "
                 "as=style; upsampled 4>3 from=start nobias init=0.2 norm=batch noaffine; film "
                 "style "
                 "noise 0.05 leaky_relu; conv 3>1 k3 p1; bilinear; crop 7; noise; view 1x7x7; "
                 "linear 49>35 tanh";
             o.network_d = "1x5x7; conv 1>3 k3 p1 spectral leaky_relu as=pieces; conv 3>1 k1 "
                           "spectral head; conv 3>4 k3 s2 p1 from=pieces spectral leaky_relu; "
                           "deviation 2; linear 60>1 spectral";
             // Under hinge the last bias has the gradient 1 - 1, whose rounding Adam makes a step.
             choose_loss(o, "lsgan");
             o.one_fake = true;
             o.ema = 0.9;
             o.ema_warmup = true;
             o.ema_statistics = 3;
             o.translation = 1;
             o.rates.decay_after = 0.5;
             o.rates.decay_to = 0.05;
         }},
        {"classes as maps",
         [](GanOptions& o) {
             o.network_g = "7>48; view 4x3x4 norm=batch relu; conv 4>3 k3 p1; linear 36>35 tanh";
             o.network_d = "3x5x7; conv 3>4 k3 s2 p1 leaky_relu; linear 48>1";
             o.conditional = true;
             o.translation = 1;
         }},
        {"penalty through layers",
         [](GanOptions& o) {
             o.network_g = "5>48; view 4x3x4 norm=batch relu; conv 4>3 k3 p1; linear 36>35 tanh";
             o.network_d = "1x5x7; conv 1>3 k3 p1 spectral leaky_relu as=pieces; conv 3>1 k1 "
                           "spectral head; conv 3>4 k3 s2 p1 from=pieces spectral leaky_relu; pool "
                           "max k2; linear 8>1 spectral";
             choose_loss(o, "lsgan");
             o.lambda_gp = 10;
             o.n_critic = 2;
             o.translation = 1;
         }},
        {"R1, classes as maps",
         [](GanOptions& o) {
             o.network_g = "7>48; view 4x3x4 norm=batch relu; conv 4>3 k3 p1; linear 36>35 tanh";
             o.network_d = "3x5x7; conv 3>4 k3 s2 p1 leaky_relu as=skip; conv 4>4 k3 p1; add skip "
                           "leaky_relu; linear 48>1";
             o.conditional = true;
             o.one_fake = true;
             o.r1 = 3;
         }},
        {"wrong pairs, a projection, codes around the means of classes",
         [](GanOptions& o) {
             o.network_g = "7x1x1; channels 5 2; linear 2>4 as=condition; channels 3 2 from=input; "
                           "augment condition as=code; channels 0 3 from=input; concat code; "
                           "linear 5>12 fixed; view 3x2x2 norm=batch relu fixed; linear 12>35 tanh";
             o.network_d =
                 "3x5x7; channels 0 1; conv 1>3 k3 s2 p1 spectral leaky_relu; pool sum "
                 "as=features; linear 3>1 as=judged; channels 1 2 from=input; pool "
                 "global; linear 2>3 nobias as=class; dot class from=features; add judged";
             choose_loss(o, "ml");
             o.conditional = o.wrong_pairs = true;
             o.lambda_kl = 2;
             o.translation = 1;
             o.ema = 0.9;
             o.n_critic = 2;
         }},
        {"feature matching", [](GanOptions& o) { o.feature_matching = true; }},
        {"historical averaging", [](GanOptions& o) { o.lambda_history = 0.1; }},
        {"batch normalisation",
         [](GanOptions& o) {
             o.normalisation_d = o.normalisation_g = Normalisation::batch;
             o.ema = 0.5;
         }},
        {"virtual batch normalisation",
         [](GanOptions& o) {
             o.normalisation_d = o.normalisation_g = Normalisation::virtual_batch;
             o.feature_matching = true;
         }},
        {"minibatch discrimination", [](GanOptions& o) { o.closeness_columns = 6; }},
        {"conditional", [](GanOptions& o) { o.conditional = true; }},
        {"components", [](GanOptions& o) { o.components = 3; }},
        {"everything at once",
         [](GanOptions& o) {
             choose_loss(o, "wgan-gp");
             o.conditional = true;
             o.components = 4;
             o.normalisation_g = Normalisation::virtual_batch;
             o.instance_noise = 0.1;
             o.ema = 0.9;
             o.lambda_history = 0.01;
             o.lambda_pixel = 1;
             o.feature_matching = true;
         }},
    };
    return all;
}

class GanVariants : public testing::BackendTest {};

TEST_P(GanVariants, EveryOneResumesExactly) {
    const Patches patches(11); // an epoch of 4, 4 and 3 rows
    for (const Variant& variant : variants()) {
        SCOPED_TRACE(variant.name);
        GanOptions options = small_options();
        variant.apply(options);
        options.validate();
        GanTrainer whole(backend(), options, patches.rows);
        for (const GanMetrics& metrics : whole.run(5)) {
            for (const double value : metrics.values(options)) {
                EXPECT_TRUE(std::isfinite(value));
            }
        }
        GanTrainer first(backend(), options, patches.rows);
        first.run(2);
        GanTrainer second(backend(), options, patches.rows, Placement::streamed);
        second.run(1);
        testing::restore(second, first.checkpoint());
        second.run(3);
        EXPECT_EQ(whole.checkpoint(), second.checkpoint());
    }
}

// The singular vectors of spectral normalisation are state. What a checkpoint that leaves them out could
// go on with is refused, and one with others ends in other bytes, so that the test above would see it.
TEST_P(GanVariants, SingularVectorsAreInTheCheckpoint) {
    const Patches patches(11);
    GanOptions options = small_options();
    options.network_g = "5>35 tanh";
    options.network_d = "1x5x7; conv 1>3 k3 s2 p1 spectral leaky_relu; linear 36>1 spectral";
    GanTrainer whole(backend(), options, patches.rows);
    whole.run(3);
    const auto checkpoint = whole.checkpoint();
    // Goes on from the checkpoint with D's tensors changed.
    const auto resumed = [&](const std::function<void(std::vector<Tensor>&)>& change) {
        const std::string name = "discriminator.safetensors";
        auto changed = checkpoint;
        TensorFile d = decode_safetensors(changed.at(name), name);
        change(d.tensors);
        changed.at(name) = encode_safetensors(d.tensors, d.metadata);
        GanTrainer second(backend(), options, patches.rows);
        testing::restore(second, changed);
        second.run(2);
        return second.checkpoint();
    };
    const auto is_u = [](const Tensor& tensor) { return tensor.name.ends_with("_u"); };
    whole.run(2);
    EXPECT_EQ(whole.checkpoint(), resumed([](auto&) {}));
    EXPECT_NE(whole.checkpoint(), resumed([&](std::vector<Tensor>& tensors) {
                  Network begun(backend(), whole.discriminator().shape());
                  begun.initialise(options.seed, 1);
                  const TensorFile beginning = begun.weights();
                  for (Tensor& tensor : tensors) {
                      if (is_u(tensor)) {
                          tensor.bytes = beginning.at(tensor.name).bytes;
                      }
                  }
              }));
    EXPECT_THROW(resumed([&](std::vector<Tensor>& tensors) { std::erase_if(tensors, is_u); }),
                 std::runtime_error);
}

INSTANTIATE_TEST_SUITE_P(Every, GanVariants, ::testing::Values("cpu", "cuda"),
                         [](const auto& info) { return std::string(info.param); });

TEST(GanVariants, CpuAndCudaAgree) {
    if (const std::string reason = testing::why_missing("cuda"); !reason.empty()) {
        GTEST_SKIP() << reason;
    }
    const Patches patches(11); // the third batch has 3 rows
    for (const Variant& variant : variants()) {
        SCOPED_TRACE(variant.name);
        GanOptions options = small_options();
        variant.apply(options);
        std::vector<std::vector<GanMetrics>> runs;
        for (const char* name : {"cpu", "cuda"}) {
            const auto backend = testing::make_backend_under_test(name);
            GanTrainer trainer(*backend, options, patches.rows);
            runs.push_back(trainer.run(3));
        }
        for (std::size_t step = 0; step < 3; ++step) {
            const GanMetrics &a = runs[0][step], &b = runs[1][step];
            // Adam turns a gradient's rounding into a step of the size of the rate.
            const double tolerance = step == 0 ? 1e-5 : 2e-3;
            for (const auto& [x, y] :
                 {std::pair(a.loss_d(), b.loss_d()), std::pair(a.loss_g, b.loss_g),
                  std::pair(a.gradient_penalty, b.gradient_penalty),
                  std::pair(a.pixel_distance, b.pixel_distance)}) {
                EXPECT_FALSE(!(std::abs(x - y) <= tolerance * (1 + std::abs(x))))
                    << "step " << step << ": " << x << " " << y;
            }
        }
    }
}

TEST(GanOptions, OptionsThatDoNotGoTogetherAreRefused) {
    const auto refused = [](auto change) {
        GanOptions options;
        change(options);
        EXPECT_THROW(options.validate(), std::invalid_argument);
    };
    refused([](GanOptions& o) { o.lambda_gp = 10, o.activation_d = Activation::tanh; });
    refused(
        [](GanOptions& o) { o.lambda_gp = 10, o.normalisation_d = Normalisation::virtual_batch; });
    refused([](GanOptions& o) { o.lambda_gp = 10, o.closeness_columns = 8; });
    refused([](GanOptions& o) {
        o.closeness_columns = 8, o.normalisation_d = Normalisation::virtual_batch;
    });
    refused([](GanOptions& o) { o.batch_size = 1, o.normalisation_g = Normalisation::batch; });
    refused([](GanOptions& o) { o.lambda_gp = 10, o.r1 = 1; });
    refused([](GanOptions& o) { o.r1 = 1, o.normalisation_d = Normalisation::virtual_batch; });
    refused([](GanOptions& o) { o.one_fake = o.feature_matching = true; });
    refused([](GanOptions& o) { o.ema_warmup = true; });
    refused(
        [](GanOptions& o) { o.translation = 2, o.normalisation_d = Normalisation::virtual_batch; });
    refused([](GanOptions& o) { o.network_g = "5>35 tanh"; });
    refused([](GanOptions& o) { o.ema = 1; });
    refused([](GanOptions& o) { o.real_label = 0.9, choose_loss(o, "hinge"); });
    for (const Preset& preset : gan_presets()) {
        EXPECT_NO_THROW(gan_preset(preset.name).validate()) << preset.name;
    }
    // Texts take the place of a preset's networks, and epochs that of its steps.
    GanOptions gan;
    Options options;
    describe(options, gan);
    const Given given = {{"network_g", {"5>12 tanh"}}, {"network_d", {"12>1"}}, {"epochs", {"3"}}};
    options.apply(*std::ranges::find(gan_presets(), "tissue", &Preset::name), given);
    options.apply(given);
    EXPECT_EQ(gan.network, "");
    EXPECT_EQ(gan.network_g, "5>12 tanh");
    EXPECT_EQ(gan.steps, 0);
    EXPECT_EQ(gan.batch_size, 16);
    for (const std::string& name : gan_loss_names()) {
        GanOptions options;
        choose_loss(options, name);
        EXPECT_EQ(gan_loss_name(options), name);
    }
}

} // namespace
} // namespace patchforge
