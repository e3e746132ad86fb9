// --persistent: the same run as the recorded iterations give, but for the order of sums.
#include <gtest/gtest.h>

#include <fstream>

#include "host/files/safetensors.h"
#include "host/gan/gan_trainer.h"
#include "tests/host/train/random_patches.h"
#include "tests/host/train/restored.h"
#include "tests/kernels/backends.h"

namespace patchforge::testing {
namespace {

GanOptions persistent_options() {
    GanOptions options;
    options.batch_size = 10;
    options.latent_dim = 8;
    options.hidden_dims = {32, 32};
    options.learning_rate_d = options.learning_rate_g = 1e-3;
    options.seed = 5;
    options.steps = 100;
    return options;
}

void expect_close(double x, double y, const char* what) {
    EXPECT_TRUE(std::abs(x - y) <= 2e-4 * (std::abs(y) + 0.1)) << what << ": " << x << ", " << y;
}

void expect_same_game(const std::vector<GanMetrics>& a, const std::vector<GanMetrics>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
        SCOPED_TRACE(::testing::Message() << "iteration " << i);
        expect_close(a[i].loss_d_real, b[i].loss_d_real, "loss on patches");
        expect_close(a[i].loss_d_fake, b[i].loss_d_fake, "loss on fakes");
        expect_close(a[i].loss_g, b[i].loss_g, "loss of G");
        expect_close(a[i].probability_real, b[i].probability_real, "D(x)");
        expect_close(a[i].probability_fake, b[i].probability_fake, "D(G(z))");
    }
}

std::string refusal(Backend& backend, const GanOptions& options, const PatchRows& patches,
                    Placement placement = Placement::automatic) {
    try {
        const GanTrainer trainer(backend, options, patches, placement);
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "not refused";
}

class GanPersistentTest : public BackendTest {
  protected:
    void SetUp() override {
        BackendTest::SetUp();
        if (IsSkipped()) {
            return;
        }
        GanOptions options = persistent_options();
        options.persistent = true;
        const std::string reason = refusal(backend(), options, RandomPatches(1, 37, 3, 5, 5).rows);
        if (reason.find("Hopper") != std::string::npos) {
            GTEST_SKIP() << reason;
        }
    }
};
INSTANTIATE_TEST_SUITE_P(Every, GanPersistentTest, ::testing::Values("cuda"),
                         [](const auto& info) { return std::string(info.param); });

// 37 patches in batches of 10: the last of an epoch has 7 rows.
TEST_P(GanPersistentTest, PlaysTheRecordedGame) {
    const RandomPatches patches(5, 37, 3, 5, 5);
    for (const double decay : {-1.0, 1.0}) {
        GanOptions options = persistent_options();
        options.rates.decay_epoch = decay;
        GanTrainer recorded(backend(), options, patches.rows);
        options.persistent = true;
        GanTrainer persistent(backend(), options, patches.rows);
        const auto metrics = persistent.run(9);
        expect_same_game(metrics, recorded.run(9));
        EXPECT_GT(std::abs(metrics.front().loss_g - metrics.back().loss_g), 1e-3);
    }
}

TEST_P(GanPersistentTest, GoesOnFromACheckpointToTheSameBytes) {
    const RandomPatches patches(6, 37, 3, 5, 5);
    GanOptions options = persistent_options();
    options.persistent = true;
    GanTrainer whole(backend(), options, patches.rows);
    whole.run(7);
    GanTrainer before(backend(), options, patches.rows);
    before.run(3);
    GanTrainer after(backend(), options, patches.rows);
    testing::restore(after, before.checkpoint());
    after.run(4);
    EXPECT_EQ(whole.checkpoint(), after.checkpoint());
}

// The shapes of the mission: 125 blocks live at once, each with its 60 pixels. Against the CPU, which plays
// the recorded game of this size as the GPU does (GanTrainer.CpuAndCudaAgreeAtFullSize) in a hundredth of the
// time that the executor takes.
TEST_P(GanPersistentTest, PlaysTheRecordedGameAtFullSize) {
    const RandomPatches patches(7, 24, 3, 50, 50);
    GanOptions options;
    options.batch_size = 10;
    options.drop_last = true;
    options.steps = 100;
    const auto cpu = make_cpu_backend();
    GanTrainer recorded(*cpu, options, patches.rows);
    options.persistent = true;
    GanTrainer persistent(backend(), options, patches.rows);
    expect_same_game(persistent.run(2), recorded.run(2));
}

TEST_P(GanPersistentTest, RefusesWhatItCannotDo) {
    const RandomPatches patches(8, 37, 3, 5, 5);
    const auto refused = [&](auto change, const char* why) {
        GanOptions options = persistent_options();
        options.persistent = true;
        change(options);
        const std::string reason = refusal(backend(), options, patches.rows);
        EXPECT_EQ(reason.find("--persistent: "), 0u) << reason;
        EXPECT_NE(reason.find(why), std::string::npos) << reason;
    };
    refused([](auto& o) { o.lambda_gp = 10; }, "plain GAN");
    refused([](auto& o) { o.ema = 0.9; }, "plain GAN");
    refused([](auto& o) { o.n_critic = 2; }, "plain GAN");
    refused([](auto& o) { o.normalisation_d = Normalisation::batch; }, "plain GAN");
    refused([](auto& o) { o.hidden_dims = {32, 48}; }, "two hidden layers");
    refused([](auto& o) { o.hidden_dims = {32}; }, "two hidden layers");
    refused([](auto& o) { o.hidden_dims = {40, 40}; }, "not 40");
    refused([](auto& o) { o.batch_size = 36; }, "not 36");
    GanOptions options = persistent_options();
    options.persistent = true;
    EXPECT_NE(refusal(backend(), options, patches.rows, Placement::streamed).find("streamed"),
              std::string::npos);
}

TEST(GanPersistentOnTheCpu, IsRefused) {
    const auto cpu = make_cpu_backend();
    GanOptions options = persistent_options();
    options.persistent = true;
    EXPECT_EQ(refusal(*cpu, options, RandomPatches(9, 37, 3, 5, 5).rows),
              "--persistent: it takes a GPU; leave it out, or see docs/persistent.md");
}

} // namespace
} // namespace patchforge::testing
