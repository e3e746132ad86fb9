// What each option of GAN training does to it.
#include <gtest/gtest.h>

#include <cmath>

#include "host/files/safetensors.h"
#include "tests/host/gan/small_gan.h"

namespace patchforge {
namespace {

using testing::Patches;
using testing::small_options;
constexpr std::int64_t pixels = testing::small_gan_pixels;

// What each does to training is the host loop's doing, the same on every backend: shown on the CPU.
class GanTricks : public ::testing::Test {
  protected:
    Backend& backend() { return *backend_; }

  private:
    std::unique_ptr<Backend> backend_ = make_cpu_backend();
};

std::vector<float> flat_weights(Network& network) {
    std::vector<float> host(static_cast<std::size_t>(network.all().value.size));
    network.backend().download(host.data(), network.all().value.data, host.size() * sizeof(float));
    return host;
}

TEST_F(GanTricks, AverageFollowsTheGenerator) {
    const Patches patches(12);
    GanOptions options = small_options();
    options.ema = 0.75;
    GanTrainer trainer(backend(), options, patches.rows);
    std::vector<float> first = flat_weights(trainer.generator());
    std::vector<double> expected(first.begin(), first.end());
    for (int step = 0; step < 6; ++step) {
        trainer.run(1);
        const std::vector<float> now = flat_weights(trainer.generator());
        for (std::size_t e = 0; e < now.size(); ++e) {
            expected[e] = 0.75 * expected[e] + 0.25 * now[e];
        }
    }
    const std::vector<float> average = flat_weights(trainer.sampling_generator());
    double moved = 0;
    for (std::size_t e = 0; e < average.size(); ++e) {
        ASSERT_FALSE(!(std::abs(average[e] - expected[e]) <= 1e-6)) << e;
        moved = std::max(moved, static_cast<double>(std::abs(average[e] - first[e])));
    }
    EXPECT_GT(moved, 1e-4);
    EXPECT_TRUE(trainer.checkpoint().contains("generator_ema.safetensors"));
}

// Two checkpoints of one state are one file, whatever happened to the statistics before.
TEST_F(GanTricks, StatisticsOfTheAverageAreThoseOfItsWeights) {
    const Patches patches(11);
    GanOptions options = small_options();
    options.network_g = "5>48; view 4x3x4 norm=batch relu; conv 4>1 k3 p1; bilinear; crop 5; "
                        "linear 25>35 tanh";
    options.network_d = "35>1";
    options.ema = 0.9;
    options.ema_statistics = 40;
    GanTrainer trainer(backend(), options, patches.rows);
    trainer.run(20);
    const auto averaged = trainer.checkpoint().at("generator_ema.safetensors");
    trainer.settle_average();
    const auto settled = trainer.checkpoint().at("generator_ema.safetensors");
    EXPECT_NE(settled, averaged);
    trainer.settle_average();
    EXPECT_EQ(trainer.checkpoint().at("generator_ema.safetensors"), settled);

    // Over 40 batches of 64 codes: z = W c + b with c standard normal has mean b and variance |W|^2.
    Network& average = trainer.sampling_generator();
    const auto host = [](const Network& network, const char* name) {
        const TensorFile file = network.weights();
        const auto numbers = f32(file.at(name));
        return std::vector<double>(numbers.begin(), numbers.end());
    };
    const auto weight = host(average, "0.weight"), bias = host(average, "0.bias");
    const auto mean = host(average, "2.running_mean"), variance = host(average, "2.running_var");
    for (std::size_t c = 0; c < 4; ++c) {
        double expected_mean = 0, square = 0;
        for (std::size_t p = 0; p < 12; ++p) {
            const std::size_t row = 12 * c + p;
            expected_mean += bias[row] / 12;
            square += bias[row] * bias[row] / 12;
            for (std::size_t i = 0; i < 5; ++i) {
                square += weight[5 * row + i] * weight[5 * row + i] / 12;
            }
        }
        // 2560 codes: a standard error of about 2 % of the deviation.
        const double deviation = std::sqrt(square - expected_mean * expected_mean);
        EXPECT_FALSE(!(std::abs(mean[c] - expected_mean) <= 0.08 * deviation)) << c;
        EXPECT_FALSE(!(std::abs(variance[c] / (deviation * deviation) - 1) <= 0.15)) << c;
    }
}

TEST_F(GanTricks, ClippedWeightsStayInTheirBounds) {
    const Patches patches(12);
    GanOptions options = small_options();
    choose_loss(options, "wgan");
    options.learning_rate_d = 0.01;
    GanTrainer trainer(backend(), options, patches.rows);
    trainer.run(5);
    double largest = 0, largest_g = 0;
    for (const float weight : flat_weights(trainer.discriminator())) {
        largest = std::max(largest, static_cast<double>(std::abs(weight)));
    }
    for (const float weight : flat_weights(trainer.generator())) {
        largest_g = std::max(largest_g, static_cast<double>(std::abs(weight)));
    }
    EXPECT_EQ(largest, static_cast<double>(0.01f));
    EXPECT_GT(largest_g, 0.1);
}

// With the decay from the first epoch on, step s of N has the rate lr (N - s) / N.
TEST_F(GanTricks, RatesFallToZeroAtTheEnd) {
    const Patches patches(12);
    GanOptions options = small_options();
    options.steps = 20;
    options.rates.decay_epoch = 0;
    options.n_critic = 2;
    options.beta1 = 0; // each step is of the size of the rate
    options.beta2 = 0;
    GanTrainer trainer(backend(), options, patches.rows);
    for (int step = 0; step < 20; ++step) {
        const auto g_before = flat_weights(trainer.generator());
        const auto d_before = flat_weights(trainer.discriminator());
        trainer.run(1);
        const auto largest_step = [](const std::vector<float>& a, const std::vector<float>& b) {
            double largest = 0;
            for (std::size_t e = 0; e < a.size(); ++e) {
                largest = std::max(largest, static_cast<double>(std::abs(a[e] - b[e])));
            }
            return largest;
        };
        const double rate = 2e-4 * (20 - step) / 20;
        EXPECT_NEAR(largest_step(g_before, flat_weights(trainer.generator())), rate, 3e-7);
        // Two steps of D, the second at half an iteration later.
        EXPECT_NEAR(largest_step(d_before, flat_weights(trainer.discriminator())),
                    2 * rate - 2e-4 / 40, 3e-7);
    }
}

TEST_F(GanTricks, NoiseReachesTheDiscriminator) {
    const Patches patches(12);
    GanOptions plain = small_options(), noisy = small_options();
    noisy.instance_noise = 0.5;
    GanTrainer without(backend(), plain, patches.rows), with(backend(), noisy, patches.rows);
    const double first = without.run(1)[0].loss_d(), second = with.run(1)[0].loss_d();
    EXPECT_GT(std::abs(first - second), 1e-6);
    EXPECT_LT(std::abs(first - second), 0.1);
}

TEST_F(GanTricks, PixelLossPullsFakesToThePatches) {
    Patches patches(40);
    for (std::int32_t row = 1; row < 40; row += 2) {
        patches.rows.subset.push_back(row); // the bright ones, at 0.41 +- 0.23
    }
    GanOptions options = small_options();
    options.learning_rate_g = 0.005;
    options.lambda_pixel = 100;
    GanTrainer trainer(backend(), options, patches.rows);
    const double before = trainer.run(1)[0].pixel_distance;
    const double after = trainer.run(80).back().pixel_distance;
    // The median is 0.12 from them on average.
    EXPECT_GT(before, 0.3);
    EXPECT_LT(after, 0.16);
}

TEST_F(GanTricks, FeatureMatchingBringsTheMeansTogether) {
    const Patches patches(64);
    GanOptions options = small_options();
    options.batch_size = 32;
    options.dropout = 0;
    options.feature_matching = true;
    options.learning_rate_d = 1e-30; // the features stay
    options.learning_rate_g = 0.003;
    GanTrainer trainer(backend(), options, patches.rows);
    const double before = trainer.run(1)[0].loss_g;
    const double after = trainer.run(80).back().loss_g;
    EXPECT_GT(before, 0);
    EXPECT_LT(after, before / 5);
}

TEST_F(GanTricks, HistoricalAveragingHoldsWeightsBack) {
    const Patches patches(40);
    const auto distance = [&](double lambda) {
        GanOptions options = small_options();
        options.beta1 = 0.5;
        options.lambda_history = lambda;
        GanTrainer trainer(backend(), options, patches.rows);
        const auto before = flat_weights(trainer.generator());
        trainer.run(40);
        const auto after = flat_weights(trainer.generator());
        double squares = 0;
        for (std::size_t e = 0; e < after.size(); ++e) {
            squares += std::pow(after[e] - before[e], 2);
        }
        return std::sqrt(squares);
    };
    EXPECT_LT(distance(100), 0.7 * distance(1e-9));
}

TEST_F(GanTricks, PenaltyBringsTheSlopeToOne) {
    const Patches patches(40);
    GanOptions options = small_options();
    choose_loss(options, "wgan-gp");
    options.learning_rate_d = 0.003;
    GanTrainer trainer(backend(), options, patches.rows);
    const double before = trainer.run(1)[0].gradient_penalty;
    const double after = trainer.run(60).back().gradient_penalty;
    EXPECT_GT(before, 5); // a slope near 0 costs 10
    EXPECT_LT(after, 2);
}

// And takes it from a convolutional D where the patches are.
TEST_F(GanTricks, R1FlattensTheDiscriminatorAtPatches) {
    const Patches patches(40);
    const auto slope = [&](double r1) {
        GanOptions options = small_options();
        options.network_g = "5>35 tanh";
        options.network_d = "1x5x7; conv 1>4 k3 s2 p1 leaky_relu; linear 48>1";
        options.learning_rate_d = 0.003;
        options.r1 = r1;
        GanTrainer trainer(backend(), options, patches.rows);
        return trainer.run(200).back().gradient_penalty / r1;
    };
    EXPECT_LT(slope(30), 0.3 * slope(1e-6));
}

// Where the class stands behind the pixels the points between do not take the fakes' place.
TEST_F(GanTricks, PenaltyLeavesTheFakeThatServesBoth) {
    const Patches patches(40);
    const auto first_loss_of_g = [&](double lambda) {
        GanOptions options = small_options();
        options.conditional = options.one_fake = true;
        options.lambda_gp = lambda;
        options.learning_rate_d = 1e-12; // so that D is the same
        options.dropout = 0;
        GanTrainer trainer(backend(), options, patches.rows);
        return trainer.run(1)[0].loss_g;
    };
    EXPECT_EQ(first_loss_of_g(10), first_loss_of_g(0));
}

TEST_F(GanTricks, ConditionalNetworksAreToldTheClass) {
    const Patches patches(40);
    GanOptions options = small_options();
    options.conditional = true;
    options.batch_size = 16;
    options.learning_rate_g = options.learning_rate_d = 0.002;
    GanTrainer trainer(backend(), options, patches.rows);
    EXPECT_EQ(trainer.classes(), 2);
    EXPECT_EQ(trainer.generator().shape().inputs(), 7);
    EXPECT_EQ(trainer.discriminator().shape().inputs(), pixels + 2);
    trainer.run(400);
    // Same codes, other class: darker and brighter pictures.
    Trace pass(trainer.generator(), 2, {.backward = false});
    DeviceArray<float> codes(backend(), 14);
    const std::vector<float> host = {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
    codes.upload(host.data(), 14);
    const Matrix<float> fakes = pass.forward(codes.matrix(2, 7));
    std::vector<float> answer(2 * pixels);
    backend().download(answer.data(), fakes.data, answer.size() * sizeof(float));
    double dark = 0, bright = 0;
    for (std::int64_t j = 0; j < pixels; ++j) {
        dark += answer[static_cast<std::size_t>(j)] / double{pixels};
        bright += answer[static_cast<std::size_t>(pixels + j)] / double{pixels};
    }
    EXPECT_LT(dark, -0.1);
    EXPECT_GT(bright, 0.1);

    PatchRows unlabelled = patches.rows;
    unlabelled.labels = {};
    EXPECT_THROW(GanTrainer(backend(), options, unlabelled), std::invalid_argument);
}

TEST_F(GanTricks, AClassIsAMapBehindThePixels) {
    ClassColumns columns(backend(), 2, 3, 3, 4);
    DeviceArray<float> seen(backend(), 6);
    DeviceArray<std::int32_t> labels(backend(), 2);
    const std::vector<float> pixels_of = {1, 2, 3, 4, 5, 6};
    const std::vector<std::int32_t> host = {2, 0};
    seen.upload(pixels_of.data(), 6);
    labels.upload(host.data(), 2);
    const Matrix<float> both = columns.append(seen.matrix(2, 3), labels.view());
    std::vector<float> got(30);
    backend().download(got.data(), both.data, got.size() * sizeof(float));
    EXPECT_EQ(got, (std::vector<float>{1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1,
                                       4, 5, 6, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST_F(GanTricks, ComponentsAreFixedAndFit) {
    const Patches patches(40);
    GanOptions options = small_options();
    options.components = 2;
    GanTrainer trainer(backend(), options, patches.rows);
    Network& g = trainer.generator();
    Network& d = trainer.discriminator();
    const auto fixed = [&](Network& network, const std::string& name) {
        return network.weights().at(name).bytes;
    };
    const auto g_before = fixed(g, "5.weight"), d_before = fixed(d, "0.weight");
    trainer.run(5);
    EXPECT_EQ(g_before, fixed(g, "5.weight"));
    EXPECT_EQ(d_before, fixed(d, "0.weight"));

    // D's coordinates of the patches have mean 0 and variance 1, and G's last layer undoes them.
    std::vector<float> host;
    for (const std::uint8_t byte : patches.bytes) {
        host.push_back(static_cast<float>(byte) / 127.5f - 1);
    }
    DeviceArray<float> patches_on_device(backend(), 40 * pixels), coordinates(backend(), 80),
        rebuilt(backend(), 40 * pixels);
    patches_on_device.upload(host.data(), patches_on_device.size());
    backend().linear_forward(coordinates.matrix(40, 2), patches_on_device.matrix(40, pixels),
                             d.weight(0), d.bias(0), {});
    const std::int64_t last = g.layer_count() - 1;
    backend().linear_forward(rebuilt.matrix(40, pixels), coordinates.matrix(40, 2), g.weight(last),
                             g.bias(last), {Activation::tanh, 0.2f, 0, {}});
    std::vector<float> c(80), r(host.size());
    coordinates.download(c.data(), 80);
    rebuilt.download(r.data(), rebuilt.size());
    for (std::size_t k = 0; k < 2; ++k) {
        double mean = 0, variance = 0;
        for (std::size_t i = 0; i < 40; ++i) {
            mean += c[2 * i + k] / 40;
            variance += c[2 * i + k] * c[2 * i + k] / 39;
        }
        EXPECT_NEAR(mean, 0, 1e-4);
        EXPECT_NEAR(variance, 1, 1e-3);
    }
    double squares = 0;
    for (std::size_t e = 0; e < r.size(); ++e) {
        squares += std::pow(r[e] - host[e], 2) / static_cast<double>(r.size());
    }
    // What is left is the pixels' own noise of 0.14 and what tanh bends; patches themselves vary by
    // 0.45.
    EXPECT_LT(std::sqrt(squares), 0.17);

    options.components = 40;
    EXPECT_THROW(GanTrainer(backend(), options, patches.rows), std::invalid_argument);
}

} // namespace
} // namespace patchforge
