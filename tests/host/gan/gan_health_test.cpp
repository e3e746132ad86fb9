// The health monitor: what it measures, and what it says of runs that were made to fail.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "data/pack.h"
#include "data/packed_set.h"
#include "data/tissue.h"
#include "host/gan/gan_monitor.h"
#include "host/gan/gan_presets.h"
#include "tests/host/temporary_folder.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

constexpr unsigned health_seed = 19;
constexpr std::int64_t health_pixels = 48;

struct HealthPatches {
    std::vector<std::uint8_t> bytes;
    PatchRows rows;

    HealthPatches() {
        std::mt19937 engine(health_seed);
        for (std::int64_t i = 0; i < 256 * health_pixels; ++i) {
            bytes.push_back(static_cast<std::uint8_t>(60 + engine() % 140));
        }
        rows = {bytes.data(), 256, 3, 4, 4, {}, {}};
    }
};

GanOptions health_options() {
    GanOptions options;
    options.batch_size = 16;
    options.latent_dim = 8;
    options.hidden_dims = {32, 32};
    options.seed = health_seed;
    options.steps = 100000;
    return options;
}

// Trains, and gathers what the monitor says on the way, looking every 50 iterations.
std::vector<std::string> warnings_of(Backend& backend, const GanOptions& options,
                                     const PatchRows& patches, std::uint64_t steps) {
    constexpr std::int64_t interval = 50;
    GanTrainer trainer(backend, options, patches);
    GanProbe probe(backend, trainer, patches);
    GanMonitor monitor(options.loss);
    std::vector<std::string> warnings;
    while (trainer.step() < steps) {
        GanSigns signs{0, 0, 0, 0, {}};
        for (const GanMetrics& metrics : trainer.run(interval)) {
            signs.probability_real += metrics.probability_real / interval;
            signs.probability_fake += metrics.probability_fake / interval;
            signs.loss_d += metrics.loss_d() / interval;
            signs.loss_g += metrics.loss_g / interval;
        }
        signs.health = probe.look();
        for (const std::string& warning : monitor.look(trainer.step(), signs)) {
            warnings.push_back(warning);
        }
    }
    EXPECT_TRUE(monitor.judged());
    return warnings;
}

std::vector<std::string> warnings_of(Backend& backend, const GanOptions& options,
                                     std::uint64_t steps = 700) {
    return warnings_of(backend, options, HealthPatches().rows, steps);
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
    GanOptions options = health_options();
    options.dropout = 0;
    options.learning_rate_d = 5e-3;
    options.learning_rate_g = 1e-9;
    const auto warnings = warnings_of(*backend_, options);
    EXPECT_TRUE(says(warnings, "The discriminator wins"));
    EXPECT_FALSE(says(warnings, "Divergence"));
}

TEST_F(GanHealthTest, Collapse) {
    // A generator that takes large steps against a D that hardly learns paints one picture.
    GanOptions options = health_options();
    options.learning_rate_d = 1e-5;
    options.learning_rate_g = 0.02;
    const auto warnings = warnings_of(*backend_, options);
    EXPECT_TRUE(says(warnings, "Collapse"));
    EXPECT_TRUE(says(warnings, "Saturation") || says(warnings, "Dead units"));
}

TEST_F(GanHealthTest, Divergence) {
    GanOptions options = health_options();
    choose_loss(options, "wgan");
    options.clip_value = 0; // nothing bounds the critic, so its loss runs away
    options.learning_rate_d = 0.02;
    options.learning_rate_g = 1e-9;
    options.dropout = 0;
    EXPECT_TRUE(says(warnings_of(*backend_, options), "Divergence"));
}

TEST_F(GanHealthTest, NothingIsSaidOfARunThatLearns) {
    // D is ahead but does not win.
    GanOptions options = health_options();
    options.learning_rate_d = 1e-3;
    options.learning_rate_g = 2e-4;
    for (const std::string& warning : warnings_of(*backend_, options)) {
        ADD_FAILURE() << warning;
    }
}

// Ordinary runs on stand-in tissue, from their first iteration on.
class OrdinaryRun : public ::testing::TestWithParam<const char*> {};

TEST_P(OrdinaryRun, SaysNothing) {
    TemporaryFolder folder;
    write_tissue_folder(
        folder / "tissue",
        {.patients = 6, .patches_per_patient = 50, .size = 16, .seed = health_seed});
    pack_folder(folder / "tissue", folder / "tissue.pfs");
    const PackedSet set = PackedSet::open(folder / "tissue.pfs");
    const PatchRows rows{set.pixels(), set.count(), set.channels(), set.height(), set.width(),
                         set.labels(), {}};
    GanOptions options = gan_preset(GetParam());
    options.steps = 100000;
    for (const std::string& warning : warnings_of(*make_cpu_backend(), options, rows, 650)) {
        ADD_FAILURE() << warning;
    }
}

INSTANTIATE_TEST_SUITE_P(Presets, OrdinaryRun, ::testing::Values("default", "components"),
                         [](const auto& info) { return std::string(info.param); });

// Each threshold by itself.
TEST(GanConditions, ByTheNumbers) {
    GanSigns healthy{0.55, 0.45, 1.3, 0.8, {}};
    healthy.health = {0.7, 1, 1, 0.05, 0.1, 0.01, 0.9, 0.2};
    EXPECT_TRUE(gan_conditions(healthy, GanLoss::non_saturating).empty());
    const auto only = [&](const std::string& kind, auto change) {
        GanSigns signs = healthy;
        change(signs);
        const auto warnings = gan_conditions(signs, GanLoss::non_saturating);
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
    only("Dead units in the discriminator: 60 %", [](GanSigns& s) { s.health.dead_units_d = 0.6; });
    only("Dead units in the generator: 60 %", [](GanSigns& s) { s.health.dead_units_g = 0.6; });
    // A critic's numbers are no probabilities.
    GanSigns critic = healthy;
    critic.health.accuracy_d = 0.99;
    critic.probability_fake = 0.01;
    EXPECT_TRUE(gan_conditions(critic, GanLoss::wasserstein).empty());
}

GanSigns collapsed() {
    GanSigns signs{0.55, 0.45, 1.3, 0.8, {}};
    signs.health = {0.7, 1, 1, 0.05, 0.1, 0.01, 0.1, 0.2};
    return signs;
}
GanSigns recovered() {
    GanSigns signs = collapsed();
    signs.health.diversity = 0.9;
    return signs;
}

TEST(GanMonitorTest, WaitsForTheWarmUpAndForAConditionToLast) {
    GanMonitor monitor(GanLoss::non_saturating);
    for (std::uint64_t step = 100; step <= 700; step += 100) { // 600 is the first that counts
        EXPECT_TRUE(monitor.look(step, collapsed()).empty()) << step;
        EXPECT_FALSE(monitor.judged());
    }
    ASSERT_EQ(monitor.look(800, collapsed()).size(), 1u);
    EXPECT_TRUE(monitor.judged());
    EXPECT_TRUE(monitor.look(900, collapsed()).empty()) << "said twice";
    ASSERT_EQ(monitor.standing().size(), 1u);
    EXPECT_EQ(monitor.standing()[0].first, 600u);
    EXPECT_EQ(monitor.standing()[0].last, 900u);
    EXPECT_EQ(monitor.standing()[0].kind(), "Collapse");

    EXPECT_TRUE(monitor.look(1000, recovered()).empty());
    EXPECT_TRUE(monitor.standing().empty());
    ASSERT_EQ(monitor.over().size(), 1u);
    EXPECT_EQ(monitor.over()[0].last, 900u);

    EXPECT_TRUE(monitor.look(1100, collapsed()).empty()) << "an old streak went on";
    EXPECT_TRUE(monitor.look(1200, collapsed()).empty());
    EXPECT_EQ(monitor.look(1300, collapsed()).size(), 1u);
}

TEST(GanMonitorTest, ConditionsThatComeAndGoAreNoWarning) {
    GanMonitor monitor(GanLoss::non_saturating);
    for (std::uint64_t step = 501; step < 3000; ++step) { // a short interval: never 100 iterations
        EXPECT_TRUE(monitor.look(step, step % 90 < 80 ? collapsed() : recovered()).empty());
    }
    EXPECT_TRUE(monitor.over().empty());
}

TEST(GanHealthColumns, HoldWhatIsMeasured) {
    const auto names = [](const GanOptions& options) {
        std::vector<std::string> all;
        for (const GanHealthColumn& column : gan_health_columns(options)) {
            all.emplace_back(column.name);
        }
        return all;
    };
    using Names = std::vector<std::string>;
    const Names every = {"probe_accuracy", "grad_norm_D", "grad_norm_G", "dead_D",
                         "dead_G",         "saturated",   "diversity",   "saturated_patches"};
    EXPECT_EQ(names({}), every);
    GanOptions options;
    options.normalisation_g = Normalisation::batch;
    options.activation_d = Activation::tanh;
    EXPECT_EQ(names(options), (Names{"probe_accuracy", "grad_norm_D", "dead_G", "saturated",
                                     "diversity", "saturated_patches"}));
    options.normalisation_d = Normalisation::batch;
    EXPECT_EQ(names(options),
              (Names{"probe_accuracy", "dead_G", "saturated", "diversity", "saturated_patches"}));
}

TEST(GanSignsTest, ComeFromARowWhateverItsColumns) {
    const Metrics metrics{{"step", "d_loss", "g_loss", "D_x", "D_G_z", "dead_D", "diversity"},
                          {{100, 1, 2, 0.6, 0.4, 0.1, 0.5}, {200, 3, 4, 0.7, 0.3, 0.2, 0.8}}};
    const GanSigns signs = gan_signs(metrics, 1);
    EXPECT_EQ(signs.loss_d, 3);
    EXPECT_EQ(signs.loss_g, 4);
    EXPECT_EQ(signs.probability_real, 0.7);
    EXPECT_EQ(signs.probability_fake, 0.3);
    EXPECT_EQ(signs.health.dead_units_d, 0.2);
    EXPECT_EQ(signs.health.diversity, 0.8);
    EXPECT_TRUE(std::isnan(signs.health.gradient_norm_g));
}

class GanProbeTest : public testing::BackendTest {};

// What is measured is a number above 0 after some steps; what is not is no number.
TEST_P(GanProbeTest, NeverTellsAFalseZero) {
    const HealthPatches patches;
    for (const Normalisation normalisation : {Normalisation::none, Normalisation::batch}) {
        GanOptions options = health_options();
        options.normalisation_g = normalisation;
        options.activation_g = Activation::tanh;
        GanTrainer trainer(backend(), options, patches.rows);
        GanProbe probe(backend(), trainer, patches.rows);
        trainer.run(2);
        const GanHealth health = probe.look();
        EXPECT_GT(health.gradient_norm_d, 0);
        EXPECT_TRUE(std::isnan(health.dead_units_g));
        if (normalisation == Normalisation::none) {
            EXPECT_GT(health.gradient_norm_g, 0);
        } else {
            EXPECT_TRUE(std::isnan(health.gradient_norm_g));
        }
        for (const GanHealthColumn& column : gan_health_columns(options)) {
            EXPECT_TRUE(std::isfinite(health.*column.value)) << column.name;
        }
    }
}

TEST_P(GanProbeTest, LooksWithoutTouching) {
    const HealthPatches patches;
    GanOptions options = health_options();
    GanTrainer watched(backend(), options, patches.rows), left(backend(), options, patches.rows);
    GanProbe probe(backend(), watched, patches.rows);
    for (int i = 0; i < 3; ++i) {
        watched.run(2);
        left.run(2);
        const GanHealth first = probe.look();
        const GanHealth second = probe.look();
        for (const GanHealthColumn& column : gan_health_columns(options)) {
            EXPECT_EQ(first.*column.value, second.*column.value) << column.name;
        }
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
