// The health monitor: what it measures, and what it says of runs that were made to fail.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "host/train/gan_health.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

constexpr unsigned seed = 19;
constexpr std::int64_t pixels = 48;

struct Patches {
    std::vector<std::uint8_t> bytes;
    PatchRows rows;

    Patches() {
        std::mt19937 engine(seed);
        for (std::int64_t i = 0; i < 256 * pixels; ++i) {
            bytes.push_back(static_cast<std::uint8_t>(60 + engine() % 140));
        }
        rows = {bytes.data(), 256, 3, 4, 4, {}, {}};
    }
};

GanOptions small_options() {
    GanOptions options;
    options.batch_size = 16;
    options.latent_dim = 8;
    options.hidden_dims = {32, 32};
    options.seed = seed;
    options.steps = 100000;
    return options;
}

// Trains, then says what the monitor says of the last 50 iterations.
std::vector<std::string> warnings_after(Backend& backend, const GanOptions& options,
                                        std::int64_t steps) {
    const Patches patches;
    GanTrainer trainer(backend, options, patches.rows);
    GanProbe probe(backend, trainer, patches.rows);
    for (std::int64_t done = 0; done + 50 < steps; done += 50) {
        trainer.run(50);
    }
    GanSigns signs{0, 0, 0, 0, {}};
    for (const GanMetrics& metrics : trainer.run(50)) {
        signs.probability_real += metrics.probability_real / 50;
        signs.probability_fake += metrics.probability_fake / 50;
        signs.loss_d += metrics.loss_d() / 50;
        signs.loss_g += metrics.loss_g / 50;
    }
    signs.health = probe.look();
    return gan_warnings(signs, options.loss);
}

bool says(const std::vector<std::string>& warnings, const std::string& kind) {
    return std::any_of(warnings.begin(), warnings.end(),
                       [&](const std::string& warning) { return warning.rfind(kind, 0) == 0; });
}

class GanHealthTest : public ::testing::Test {
  protected:
    std::unique_ptr<Backend> backend_ = make_cpu_backend();
};

TEST_F(GanHealthTest, AWinningDiscriminator) {
    GanOptions options = small_options();
    options.dropout = 0;
    options.learning_rate_d = 5e-3;
    options.learning_rate_g = 1e-9;
    const auto warnings = warnings_after(*backend_, options, 300);
    EXPECT_TRUE(says(warnings, "The discriminator wins"));
    EXPECT_FALSE(says(warnings, "Divergence"));
}

TEST_F(GanHealthTest, Collapse) {
    // A generator that takes large steps against a D that hardly learns paints one picture.
    GanOptions options = small_options();
    options.learning_rate_d = 1e-5;
    options.learning_rate_g = 0.02;
    const auto warnings = warnings_after(*backend_, options, 300);
    EXPECT_TRUE(says(warnings, "Collapse"));
    EXPECT_TRUE(says(warnings, "Saturation") || says(warnings, "Dead units"));
}

TEST_F(GanHealthTest, Divergence) {
    GanOptions options = small_options();
    choose_loss(options, "wgan");
    options.clip_value = 0; // nothing bounds the critic, so its loss runs away
    options.learning_rate_d = 0.02;
    options.learning_rate_g = 1e-9;
    options.dropout = 0;
    EXPECT_TRUE(says(warnings_after(*backend_, options, 300), "Divergence"));
}

TEST_F(GanHealthTest, NothingIsSaidOfARunThatLearns) {
    // D is ahead but does not win: with seeds 1 to 5 it is right about 91 to 96 %, answers 0.25 to
    // 0.31 to fakes, and fakes differ 0.38 to 0.46 times as much as patches: far from every
    // threshold.
    GanOptions options = small_options();
    options.learning_rate_d = 1e-3;
    options.learning_rate_g = 2e-4;
    for (const std::string& warning : warnings_after(*backend_, options, 400)) {
        ADD_FAILURE() << warning;
    }
}

// Each threshold by itself.
TEST(GanWarnings, ByTheNumbers) {
    GanSigns healthy{0.55, 0.45, 1.3, 0.8, {}};
    healthy.health = {0.7, 1, 1, 0.05, 0.1, 0.01, 0.9, 0.2};
    EXPECT_TRUE(gan_warnings(healthy, GanLoss::non_saturating).empty());
    const auto only = [&](const std::string& kind, auto change) {
        GanSigns signs = healthy;
        change(signs);
        const auto warnings = gan_warnings(signs, GanLoss::non_saturating);
        ASSERT_EQ(warnings.size(), 1u) << kind;
        EXPECT_TRUE(says(warnings, kind)) << warnings[0];
    };
    only("Collapse", [](GanSigns& s) { s.health.diversity = 0.24; });
    only("Divergence", [](GanSigns& s) { s.loss_d = -51; });
    only("Divergence", [](GanSigns& s) { s.loss_g = std::nan(""); });
    only("The discriminator wins",
         [](GanSigns& s) { s.health.accuracy_d = 0.99, s.probability_fake = 0.04; });
    only("The discriminator tells nothing",
         [](GanSigns& s) { s.health.accuracy_d = 0.5, s.probability_real = 0.452; });
    only("Saturation", [](GanSigns& s) { s.health.saturated = 0.51; });
    only("Dead units: 60 % of the discriminator", [](GanSigns& s) { s.health.dead_units_d = 0.6; });
    only("Dead units: 60 % of the generator", [](GanSigns& s) { s.health.dead_units_g = 0.6; });
    // A critic's numbers are no probabilities.
    GanSigns critic = healthy;
    critic.health.accuracy_d = 0.99;
    critic.probability_fake = 0.01;
    EXPECT_TRUE(gan_warnings(critic, GanLoss::wasserstein).empty());
}

class GanProbeTest : public testing::BackendTest {};

TEST_P(GanProbeTest, LooksWithoutTouching) {
    const Patches patches;
    GanOptions options = small_options();
    GanTrainer watched(backend(), options, patches.rows), left(backend(), options, patches.rows);
    GanProbe probe(backend(), watched, patches.rows);
    for (int i = 0; i < 3; ++i) {
        watched.run(2);
        left.run(2);
        const GanHealth first = probe.look();
        EXPECT_EQ(gan_health_values(first), gan_health_values(probe.look()));
        EXPECT_GT(first.gradient_norm_d, 0);
        EXPECT_GT(first.gradient_norm_g, 0);
        EXPECT_GT(first.diversity, 0);
        EXPECT_LE(first.dead_units_g, 1);
    }
    EXPECT_EQ(watched.checkpoint(), left.checkpoint());
}

INSTANTIATE_TEST_SUITE_P(Every, GanProbeTest, ::testing::Values("cpu", "cuda"),
                         [](const auto& info) { return std::string(info.param); });

} // namespace
} // namespace patchforge
