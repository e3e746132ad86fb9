// The step on cycles: golden values of its losses, rates, state.
#include "host/translate/cycle_trainer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "host/files/safetensors.h"
#include "tests/host/train/random_patches.h"
#include "tests/host/train/restored.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

class CycleTrainerTest : public testing::BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(CycleTrainerTest);

TranslateOptions cycle_game() {
    TranslateOptions options;
    choose_mode(options, TranslationMode::cycle);
    options.width = options.width_d = 2;
    options.blocks = 1;
    options.layers_d = 1;
    options.batch_size = 2;
    options.steps = 8;
    options.pool = 3;
    options.seed = 7;
    return options;
}

// Shows what the trainers weigh their losses with.
class CycleLosses : public CycleTrainer {
  public:
    CycleLosses(Backend& backend, const TranslateOptions& options, const PatchRows& patches)
        : CycleTrainer(backend, options, patches, patches) {}

    // Of answers to real and to fake pictures, and its slope by the first fake's.
    std::pair<double, double> of_discriminator(const std::vector<float>& real,
                                               const std::vector<float>& fake) {
        std::vector<float> logits = real;
        logits.insert(logits.end(), fake.begin(), fake.end());
        run_on(logits, 2, [&](Matrix<float> d, Vector<float> metrics, Matrix<float> logit) {
            discriminator_loss(d, metrics, logit);
        });
        return {metrics_[0] + metrics_[1], d_[real.size()]};
    }
    std::pair<double, double> of_generator(const std::vector<float>& fake) {
        run_on(fake, 1, [&](Matrix<float> d, Vector<float> metrics, Matrix<float> logit) {
            generator_loss(d, metrics, logit, 1);
        });
        return {metrics_[0], d_[0]};
    }
    double distance(const std::vector<float>& a, const std::vector<float>& b) {
        const std::int64_t count = std::ssize(a);
        DeviceArray<float> left(backend_, count), right(backend_, count), d(backend_, count),
            rows(backend_, 1), metric(backend_, 1);
        left.upload(a.data(), count);
        right.upload(b.data(), count);
        d.upload(b.data(), count);
        l1_term(d.matrix(1, count), metric.view(), left.matrix(1, count), right.matrix(1, count), 1,
                rows);
        float value = 0;
        metric.download(&value, 1);
        return value;
    }

  private:
    template <class Loss>
    void run_on(const std::vector<float>& logits, std::int64_t rows, const Loss& loss) {
        const std::int64_t count = std::ssize(logits);
        DeviceArray<float> logit(backend_, count), d(backend_, count), metrics(backend_, 5);
        logit.upload(logits.data(), count);
        loss(d.matrix(rows, count / rows), metrics.view(), logit.matrix(rows, count / rows));
        metrics_.resize(5);
        metrics.download(metrics_.data(), 5);
        d_.resize(logits.size());
        d.download(d_.data(), count);
    }
    std::vector<float> metrics_, d_;
};

TEST_P(CycleTrainerTest, GoldenLosses) {
    const testing::RandomPatches patches(1, 4, 3, 12, 12);
    TranslateOptions options = cycle_game();
    CycleLosses squares(backend(), options, patches.rows);
    options.least_squares = false;
    CycleLosses entropy(backend(), options, patches.rows);
    const std::vector<float> real = {1.3f, 2.9f, -.4f, .2f}, fake = {-.7f, 1.2f, -3.5f, .1f};
    EXPECT_NEAR(squares.of_discriminator(real, fake).first, 2.56125, 2e-6);
    EXPECT_NEAR(squares.of_discriminator(real, fake).second, -.7 / 4, 1e-7);
    EXPECT_NEAR(squares.of_generator(fake).first, 5.9975, 3e-6);
    EXPECT_NEAR(squares.of_generator(fake).second, 2 * (-.7 - 1) / 4, 1e-6);
    EXPECT_NEAR(entropy.of_discriminator(real, fake).first, 1.111585236601 / 2, 1e-6);
    EXPECT_NEAR(entropy.of_generator(fake).first, 1.385153898642, 1e-6);
    // pix2pix: the game and 100 L1.
    EXPECT_NEAR(entropy.of_generator(fake).first +
                    100 * entropy.distance({.2f, .4f, .6f}, {.25f, .3f, .65f}),
                8.051820565309, 1e-5);

    // A cycle of G(x) = .8 x + .1 and F(x) = 1.1 x - .2 with D_B(x) = 2 x - .5, D_A(x) = -x + .3.
    using Values = std::vector<float>;
    const Values a = {.2f, -.5f, .9f}, b = {-.3f, .4f, .1f};
    const auto line = [](Values x, float slope, float shift) {
        for (float& value : x) {
            value = slope * value + shift;
        }
        return x;
    };
    const auto g = [&](const Values& x) { return line(x, .8f, .1f); };
    const auto f = [&](const Values& x) { return line(x, 1.1f, -.2f); };
    const auto d_b = [&](const Values& x) { return line(x, 2, -.5f); };
    const auto d_a = [&](const Values& x) { return line(x, -1, .3f); };
    const double cycle_a = 10 * squares.distance(f(g(a)), a);
    const double cycle_b = 10 * squares.distance(g(f(b)), b);
    const double same_b = 5 * squares.distance(g(b), b); // G eats b
    const double same_a = 5 * squares.distance(f(a), a);
    EXPECT_NEAR(cycle_a, 1.14, 1e-5);
    EXPECT_NEAR(cycle_b, .68, 1e-5);
    EXPECT_NEAR(same_b, .433333333, 1e-5);
    EXPECT_NEAR(same_a, .9, 1e-5);
    const double game_b = squares.of_generator(d_b(g(a))).first;
    const double game_a = squares.of_generator(d_a(f(b))).first;
    EXPECT_NEAR(game_b, 1.796666667, 2e-6);
    EXPECT_NEAR(game_a, .4282, 2e-6);
    EXPECT_NEAR(cycle_a + cycle_b + same_a + same_b + game_a + game_b, 5.3782, 2e-5);
    EXPECT_NEAR(squares.of_discriminator(d_b(b), d_b(g(a))).first, 1.516666667, 2e-6);
    EXPECT_NEAR(squares.of_discriminator(d_a(a), d_a(f(b))).first, .7091, 2e-6);
}

TEST(CycleRates, AreThoseOfTheField) {
    const TranslateOptions options = translate_preset("cycle-paper");
    constexpr std::uint64_t epoch = 1000;
    const RateSchedule schedule = options.rates.over(epoch, 200 * epoch);
    const std::pair<int, double> shares[] = {
        {0, 1},           {99, 1}, {100, .990099010}, {101, .980198020}, {150, .495049505},
        {199, .009900990}};
    for (const auto& [at, share] : shares) {
        EXPECT_NEAR(schedule.share(static_cast<std::uint64_t>(at) * epoch), share, 1e-9) << at;
    }
    EXPECT_TRUE(options.least_squares);
    EXPECT_EQ(options.batch_size, 1);
}

// Whether or not a run is cut in two while its pools fill or after.
TEST_P(CycleTrainerTest, ResumesToTheSameBytes) {
    const testing::RandomPatches a(1, 5, 3, 10, 10), b(2, 7, 3, 10, 10);
    const TranslateOptions options = cycle_game();
    CycleTrainer whole(backend(), options, a.rows, b.rows);
    const auto metrics = whole.run(8);
    for (const std::int64_t cut : {1, 5}) {
        CycleTrainer first(backend(), options, a.rows, b.rows);
        first.run(cut);
        const CheckpointFiles files = first.checkpoint();
        EXPECT_TRUE(decode_safetensors(files.at("state.safetensors"), "state").has("pool_a"));
        CycleTrainer second(backend(), options, a.rows, b.rows);
        testing::restore(second, files);
        EXPECT_EQ(second.run(8 - cut), std::vector(metrics.begin() + cut, metrics.end()));
        EXPECT_TRUE(second.checkpoint() == whole.checkpoint());
    }
}

// A discriminator's step, the pool and equal pictures leave nothing in G's: a game without weights on
// what it is to learn moves nothing but by D's answer to fakes.
TEST_P(CycleTrainerTest, TheGeneratorsKnowOfRealPicturesThroughDistancesAlone) {
    const testing::RandomPatches a(1, 2, 3, 10, 10), b(2, 2, 3, 10, 10), c(3, 2, 3, 10, 10);
    TranslateOptions options = cycle_game();
    options.lambda_cycle = options.lambda_identity = 0;
    options.steps = 1;
    options.flips = false;
    // After one step generator_b has seen a; the real b that D_b was shown says nothing to it.
    CycleTrainer with_b(backend(), options, a.rows, b.rows);
    CycleTrainer with_c(backend(), options, a.rows, c.rows);
    with_b.run(1);
    with_c.run(1);
    const auto bytes_of = [](CycleTrainer& trainer, const std::string& name) {
        return trainer.checkpoint().at(name + ".safetensors");
    };
    EXPECT_TRUE(bytes_of(with_b, "generator_b") == bytes_of(with_c, "generator_b"));
    EXPECT_FALSE(bytes_of(with_b, "discriminator_b") == bytes_of(with_c, "discriminator_b"));
}

TEST_P(CycleTrainerTest, TakesEverySizeAndBatchesOfOne) {
    for (const int side : {12, 13, 16}) {
        TranslateOptions options = cycle_game();
        options.batch_size = 1;
        options.generator = side == 16 ? GeneratorKind::resnet : GeneratorKind::resnet_small;
        const testing::RandomPatches a(1, 2, 1, side, side), b(2, 3, 1, side, side);
        CycleTrainer trainer(backend(), options, a.rows, b.rows);
        for (const std::vector<double>& metrics : trainer.run(4)) {
            for (const double value : metrics) {
                EXPECT_TRUE(std::isfinite(value));
            }
        }
    }
}

} // namespace
} // namespace patchforge
