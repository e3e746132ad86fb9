// What must hold for the recorded iteration whatever it is run on.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numeric>

#include "host/files/safetensors.h"
#include "host/gan/gan_trainer.h"
#include "host/network/named_networks.h"
#include "tests/host/gan/small_gan.h"
#include "tests/host/train/random_patches.h"
#include "tests/host/train/restored.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

constexpr unsigned trainer_seed = 91;

GanOptions trainer_options() {
    GanOptions options = testing::small_options();
    options.seed = trainer_seed;
    return options;
}

class GanTrainerTest : public testing::BackendTest {};

TEST_P(GanTrainerTest, ResumedRunEndsInTheSameBytes) {
    const testing::RandomPatches patches(trainer_seed, 11, 1, 5, 7);
    GanTrainer whole(backend(), trainer_options(), patches.rows);
    whole.run(13);

    GanTrainer first(backend(), trainer_options(), patches.rows);
    first.run(5);
    GanTrainer second(backend(), trainer_options(), patches.rows);
    second.run(2); // what it did before must not matter
    testing::restore(second, first.checkpoint());
    EXPECT_EQ(second.step(), 5u);
    second.run(8);
    EXPECT_EQ(whole.checkpoint(), second.checkpoint());
}

TEST_P(GanTrainerTest, HowRunsAreCutDoesNotMatter) {
    const testing::RandomPatches patches(trainer_seed, 50, 1, 5, 7);
    GanTrainer whole(backend(), trainer_options(), patches.rows);
    whole.run(27); // unrolled recordings, then single ones
    GanTrainer single(backend(), trainer_options(), patches.rows);
    for (int i = 0; i < 27; ++i) {
        single.run(1);
    }
    EXPECT_EQ(whole.checkpoint(), single.checkpoint());
}

TEST_P(GanTrainerTest, StreamedPatchesTrainLikeResidentOnes) {
    testing::RandomPatches patches(trainer_seed, 23, 3, 4, 5);
    patches.rows.subset = {0, 2, 3, 5, 7, 11, 13, 17, 19, 21, 22};
    GanOptions options = trainer_options();
    options.n_critic = 2;
    GanTrainer resident(backend(), options, patches.rows, Placement::resident);
    GanTrainer streamed(backend(), options, patches.rows, Placement::streamed);
    ASSERT_FALSE(resident.streamed());
    ASSERT_TRUE(streamed.streamed());
    resident.run(9);
    streamed.run(9);
    EXPECT_EQ(resident.checkpoint(), streamed.checkpoint());
}

// A learning rate too small to change a float32 weight of this size freezes a network: the other
// step must then leave its bytes alone.
TEST_P(GanTrainerTest, EachStepChangesItsOwnNetworkOnly) {
    const testing::RandomPatches patches(trainer_seed, 8, 1, 5, 7);
    const auto weights = [](Network& network) {
        std::vector<std::vector<std::byte>> bytes;
        for (const Tensor& tensor : network.weights().tensors) {
            bytes.push_back(tensor.bytes);
        }
        return bytes;
    };
    GanOptions frozen_d = trainer_options();
    frozen_d.learning_rate_d = 1e-30;
    GanTrainer trainer_g(backend(), frozen_d, patches.rows);
    const auto d_before = weights(trainer_g.discriminator());
    const auto g_before = weights(trainer_g.generator());
    trainer_g.run(3);
    EXPECT_EQ(d_before, weights(trainer_g.discriminator()));
    EXPECT_NE(g_before, weights(trainer_g.generator()));

    GanOptions frozen_g = trainer_options();
    frozen_g.learning_rate_g = 1e-30;
    GanTrainer trainer_d(backend(), frozen_g, patches.rows);
    trainer_d.run(3);
    EXPECT_EQ(g_before, weights(trainer_d.generator()));
    EXPECT_NE(d_before, weights(trainer_d.discriminator()));
}

TEST_P(GanTrainerTest, TrueSizeOfTheLastBatch) {
    const testing::RandomPatches patches(trainer_seed, 11, 1, 5, 7);
    GanOptions options = trainer_options();
    GanTrainer trainer(backend(), options, patches.rows);
    EXPECT_EQ(trainer.batches_per_epoch(), 3);
    options.drop_last = true;
    GanTrainer dropping(backend(), options, patches.rows);
    EXPECT_EQ(dropping.batches_per_epoch(), 2);
    for (const GanMetrics& metrics : trainer.run(7)) {
        for (const double value : metrics.values(options)) {
            EXPECT_TRUE(std::isfinite(value));
        }
    }
}

PATCHFORGE_ON_EVERY_BACKEND(GanTrainerTest);

TEST(GanTrainer, ThreadsDoNotChangeABit) {
    const testing::RandomPatches patches(trainer_seed, 40, 3, 20, 20);
    GanOptions options = trainer_options();
    options.batch_size = 33;
    options.hidden_dims = {64, 64};
    std::vector<std::map<std::string, std::vector<std::byte>>> results;
    for (const int threads : {1, 2, 3}) {
        const auto backend = make_cpu_backend({threads});
        GanTrainer trainer(*backend, options, patches.rows);
        trainer.run(5);
        results.push_back(trainer.checkpoint());
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
}

TEST(GanTrainer, CpuAndCudaAgreeAtFullSize) {
    if (const std::string reason = testing::why_missing("cuda"); !reason.empty()) {
        GTEST_SKIP() << reason;
    }
    const testing::RandomPatches patches(trainer_seed, 40, 3, 50, 50);
    GanOptions options;
    options.batch_size = 10;
    options.seed = trainer_seed;
    std::vector<std::vector<GanMetrics>> runs;
    for (const char* name : {"cpu", "cuda"}) {
        const auto backend = testing::make_backend_under_test(name);
        GanTrainer trainer(*backend, options, patches.rows);
        runs.push_back(trainer.run(3));
    }
    for (std::size_t step = 0; step < runs[0].size(); ++step) {
        const GanMetrics& a = runs[0][step];
        const GanMetrics& b = runs[1][step];
        // The first losses differ by rounding only; Adam's first steps have the size of the
        // learning rate whatever the gradient, so later ones by what a flipped sign of a tiny
        // gradient makes.
        const double tolerance = step == 0 ? 2e-6 : 2e-4;
        EXPECT_FALSE(!(std::abs(a.loss_d() - b.loss_d()) <= tolerance))
            << "step " << step << ": " << a.loss_d() << " " << b.loss_d();
        EXPECT_FALSE(!(std::abs(a.loss_g - b.loss_g) <= tolerance))
            << "step " << step << ": " << a.loss_g << " " << b.loss_g;
    }
}

TEST(GanOptions, RefusesNonsenseByName) {
    const auto refused = [](auto change) {
        GanOptions options;
        change(options);
        try {
            options.validate();
        } catch (const std::invalid_argument& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_NE(refused([](GanOptions& o) { o.batch_size = 0; }).find("--batch-size 0"),
              std::string::npos);
    EXPECT_NE(refused([](GanOptions& o) { o.learning_rate_g = -1; }).find("--lr-g -1"),
              std::string::npos);
    EXPECT_NE(refused([](GanOptions& o) { o.beta1 = 1; }).find("--b1 1"), std::string::npos);
    EXPECT_NE(refused([](GanOptions& o) { o.dropout = std::nan(""); }).find("--dropout"),
              std::string::npos);
    EXPECT_EQ(refused([](GanOptions&) {}), "");
}

TEST(GanOptions, EquilibriaOfTheLogisticLosses) {
    const GanEquilibrium plain = gan_equilibrium(GanLoss::non_saturating, 1);
    EXPECT_NEAR(plain.loss_d, 1.386294361, 1e-9);
    EXPECT_NEAR(plain.loss_g, 0.693147181, 1e-9);
    const GanEquilibrium likely = gan_equilibrium(GanLoss::maximum_likelihood, 1);
    EXPECT_NEAR(likely.loss_d, plain.loss_d, 1e-12);
    EXPECT_NEAR(likely.loss_g, -0.5, 1e-12); // -exp(0) / 2
    const GanEquilibrium smooth = gan_equilibrium(GanLoss::non_saturating, 0.9);
    EXPECT_NEAR(smooth.probability, 0.45, 1e-12);
    EXPECT_NEAR(smooth.loss_d, 1.376277627, 1e-9);
    EXPECT_NEAR(smooth.loss_g, 0.798507696, 1e-9);
    const GanEquilibrium smoother = gan_equilibrium(GanLoss::non_saturating, 0.75);
    EXPECT_NEAR(smoother.probability, 0.375, 1e-12);
    EXPECT_NEAR(smoother.loss_d, 1.323126476, 1e-9);
    EXPECT_NEAR(smoother.loss_g, 0.980829253, 1e-9);
}

// Published counts of this network at several sizes, hidden width 256.
TEST(GanShapes, ParameterCounts) {
    GanOptions options;
    EXPECT_EQ(discriminator_shape(options, 7500).parameter_count(), 1986305);
    EXPECT_EQ(generator_shape(options, 7500).parameter_count(), 2009932);
    EXPECT_EQ(discriminator_shape(options, 784).parameter_count(), 267009);
    options.latent_dim = 100;
    EXPECT_EQ(generator_shape(options, 3072).parameter_count(), 881152);
    EXPECT_EQ(discriminator_shape(options, 7500).layers[2].weight_name(), "6.weight");
    EXPECT_EQ(generator_shape(options, 7500).layers[2].weight_name(), "4.weight");
}

// Every named pair of networks at sides with and without factors of two: what G gives is what D reads.
TEST(GanShapes, NamedNetworksFitEverySide) {
    GanOptions options;
    for (const std::string& name : named_gans()) {
        options.network = name;
        for (const int side : {16, 28, 32, 48, 49, 50, 64}) {
            const Extent pictures{3, side, side};
            const GanShapes shapes = gan_shapes(options, pictures, 0, 0, 0);
            EXPECT_EQ(shapes.generator.layers.back().out(), pictures) << name << ", " << side;
            EXPECT_EQ(shapes.discriminator.in, pictures) << name << ", " << side;
            options.projection =
                !name.starts_with("dcgan"); // which has no features before its answer
            const GanShapes classed = gan_shapes(options, pictures, 2, 0, 0);
            EXPECT_EQ(classed.discriminator.in, (Extent{5, side, side})) << name << ", " << side;
            EXPECT_EQ(classed.generator.inputs(), options.latent_dim + 2);
            options.projection = false;
        }
        EXPECT_THROW(gan_shapes(options, {3, 32, 48}, 0, 0, 0), std::invalid_argument);
    }
    options.projection = true;
    EXPECT_THROW(gan_shapes(options, {3, 50, 50}, 2, 0, 0), std::invalid_argument); // dcgan-64
    options.projection = false;
    options.network = "tissue";
    const GanShapes tissue = gan_shapes(options, {3, 50, 50}, 0, 0, 0);
    EXPECT_EQ(tissue.generator.parameter_count(), 283673);
    EXPECT_EQ(tissue.discriminator.parameter_count(), 251874);
    EXPECT_EQ(tissue.discriminator.heads().size(), 2u);
    options.network = "tissue-multiscale";
    const GanShapes multiscale = gan_shapes(options, {3, 50, 50}, 0, 0, 0);
    EXPECT_EQ(multiscale.generator.parameter_count(), 283673);
    // The third head's convolutions: 3>32, 32>64, 64>128, 128>1, with biases.
    EXPECT_EQ(multiscale.discriminator.parameter_count(), 251874 + 896 + 18496 + 73856 + 129);
    EXPECT_EQ(multiscale.discriminator.heads().size(), 3u);
    options.network = "dcgan-64";
    const GanShapes dcgan = gan_shapes(options, {3, 50, 50}, 0, 0, 0);
    EXPECT_EQ(dcgan.generator.parameter_count(), 2077568);
    EXPECT_EQ(dcgan.discriminator.parameter_count(), 1561344);
}

// The second stage begins with the generator of the first, fixed, under the same names.
TEST(GanShapes, StagesFitEveryEvenSide) {
    GanOptions options;
    options.mode = GanMode::stack;
    options.conditional = options.wrong_pairs = true;
    options.lambda_kl = 2;
    for (const int side : {16, 18, 28, 34, 48, 50, 64, 70}) {
        SCOPED_TRACE(side);
        const GanOptions first = stage_options(options, 1, {3, side, side}, 2);
        const GanOptions second = stage_options(options, 2, {3, side, side}, 2);
        const GanShapes small = gan_shapes(first, {3, side / 2, side / 2}, 2, 0, 0);
        const GanShapes large = gan_shapes(second, {3, side, side}, 2, 0, 0);
        EXPECT_EQ(large.generator.inputs(), small.generator.inputs() + options.condition_dim);
        EXPECT_EQ(small.discriminator.heads().size(), 1u);
        EXPECT_EQ(large.discriminator.heads().size(), 2u);
        ASSERT_GT(large.generator.layers.size(), small.generator.layers.size());
        for (std::size_t l = 0; l < large.generator.layers.size(); ++l) {
            const LayerShape& layer = large.generator.layers[l];
            const bool earlier = l < small.generator.layers.size();
            if (earlier) {
                EXPECT_EQ(layer.weight_name(), small.generator.layers[l].weight_name());
                EXPECT_EQ(layer.outputs, small.generator.layers[l].outputs);
            }
            if (layer.has_weights() || layer.normalisation != Normalisation::none) {
                EXPECT_EQ(layer.trained, !earlier) << l;
            }
        }
    }
    EXPECT_THROW(stage_options(options, 1, {3, 49, 49}, 2), std::invalid_argument);
    EXPECT_THROW(stage_options(options, 1, {3, 32, 48}, 2), std::invalid_argument);
    options.network = "light";
    EXPECT_THROW(stage_options(options, 1, {3, 50, 50}, 2), std::invalid_argument);
}

} // namespace
} // namespace patchforge
