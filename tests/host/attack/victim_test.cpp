// Gradients by the pixels, against worked examples, published values and differences; and that a
// black box counts and keeps its gradient to itself.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/attack/attack_runner.h"
#include "tests/host/attack/attacked_models.h"

namespace patchforge::testing {
namespace {

template <class T>
concept GivesGradients = requires {
    &T::gradient;
};
static_assert(GivesGradients<WhiteBoxVictim>);
static_assert(!GivesGradients<BlackBoxVictim>);
static_assert(!std::is_convertible_v<BlackBoxVictim*, WhiteBoxVictim*>);

class VictimTest : public ::testing::TestWithParam<const char*> {
  protected:
    std::unique_ptr<Backend> backend = make_backend(GetParam());

    DeviceArray<float> on_device(const std::vector<float>& values) {
        DeviceArray<float> array(*backend, static_cast<std::int64_t>(values.size()));
        array.upload(values.data(), array.size());
        return array;
    }
    DeviceArray<std::int32_t> on_device(const std::vector<std::int32_t>& values) {
        DeviceArray<std::int32_t> array(*backend, static_cast<std::int64_t>(values.size()));
        array.upload(values.data(), array.size());
        return array;
    }
    template <class T>
    std::vector<T> from_device(const DeviceArray<T>& array) {
        std::vector<T> host(static_cast<std::size_t>(array.size()));
        array.download(host.data(), array.size());
        return host;
    }
    // The network itself, on inputs that were not scaled.
    std::vector<float> network_answers(const ClassifierModel& model, const std::vector<float>& x) {
        const std::int64_t rows = static_cast<std::int64_t>(x.size()) / model.pixels();
        Trace pass(model.network(), rows, {.backward = false});
        const DeviceArray<float> input = on_device(x);
        const Matrix<float> out = pass.forward(input.matrix(rows, model.pixels()));
        std::vector<float> host(static_cast<std::size_t>(out.size()));
        backend->download(host.data(), out.data, host.size() * sizeof(float));
        return host;
    }
};
INSTANTIATE_TEST_SUITE_P(Every, VictimTest, ::testing::Values("cpu", "cuda"));

// w = (1, 3, -1, 2, 2, 3), x = (1, -1, 2, 0, 3, -2): w.x = -4. Moving along 0.2 w adds 0.2 * 28,
// along 0.2 sign(w) only 0.2 * 12; at an equal largest change of 0.6 the sign wins, 3.2 to 1.6.
TEST_P(VictimTest, LinearExample) {
    const std::vector<float> w = {1, 3, -1, 2, 2, 3}, x = {1, -1, 2, 0, 3, -2};
    NetworkShape shape{{{6, 1, Activation::identity, 0.2f, 0, 0}}};
    const auto model = model_of(*backend, shape, format_of(1, 1, 6, 2, true), {w, {0}});
    const auto moved = [&](double along_w, double along_sign) {
        std::vector<float> y = x;
        for (std::size_t i = 0; i < y.size(); ++i) {
            y[i] += static_cast<float>(along_w * w[i] + along_sign * (w[i] > 0 ? 1 : -1));
        }
        return network_answers(*model, y).at(0);
    };
    EXPECT_FLOAT_EQ(moved(0, 0), -4);
    EXPECT_NEAR(moved(0.2, 0), 1.6, 1e-6);
    EXPECT_NEAR(moved(0, 0.2), -1.6, 1e-6);
    EXPECT_NEAR(moved(0, 0.6), 3.2, 1e-6);
}

// However many rows go through a network of maps together: on the CPU 8 of these.
TEST_P(VictimTest, GradientsOfMapsRowByRow) {
    constexpr std::int64_t rows = 11;
    const int side = std::string(GetParam()) == "cpu" ? 64 : 6;
    const std::int64_t size = side * side;
    const NetworkShape shape = network_shape_from_description(
        fmt::format("1x{0}x{0}; conv 1>16 k3 p1 nobias norm=batch relu; pool max k2; pool global; "
                    "linear 16>2",
                    side));
    ClassifierModel model(*backend, shape, format_of(1, side, side, 2, false));
    model.network().initialise(3, 0);
    WhiteBoxVictim victim({&model}, rows);
    std::vector<float> pixels(rows * size);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        pixels[i] = static_cast<float>(i * 7 % 23) / 22;
    }
    std::vector<std::int32_t> labels(rows);
    std::vector<float> scales(rows);
    for (std::size_t row = 0; row < rows; ++row) {
        labels[row] = row % 2;
        scales[row] = 1 + static_cast<float>(row);
    }
    const DeviceArray<float> x = on_device(pixels), scale = on_device(scales);
    const DeviceArray<std::int32_t> label = on_device(labels);
    DeviceArray<float> together(*backend, rows * size), alone(*backend, rows * size);
    DeviceArray<float> losses(*backend, rows), loss_alone(*backend, rows);
    WhiteBoxVictim::Goal goal{.loss = VictimLoss::margin, .scale = {1, scale.data()}};
    victim.gradient(together.matrix(rows, size), losses.view(), x.matrix(rows, size), label.view(),
                    goal);
    for (std::int64_t row = 0; row < rows; ++row) {
        goal.scale.rows = scale.data() + row;
        victim.gradient(alone.matrix(rows, size).row_range(row, 1), loss_alone.view().part(row, 1),
                        x.matrix(rows, size).row_range(row, 1), label.view().part(row, 1), goal);
    }
    const std::vector<float> gradients = from_device(together);
    EXPECT_EQ(gradients, from_device(alone));
    EXPECT_EQ(from_device(losses), from_device(loss_alone));
    EXPECT_GT(*std::ranges::max_element(gradients), 0);
}

// The logit of a linear model moves by eps ||w||_1 (twice that: pixels are scaled by 2), so the
// same eps does more in more dimensions.
TEST_P(VictimTest, ChangeGrowsWithTheDimension) {
    const double epsilon = 8.0 / 255;
    double before = 0;
    for (const int n : {6, 784, 3072, 7500}) {
        std::vector<float> w(static_cast<std::size_t>(n));
        double norm = 0;
        for (int i = 0; i < n; ++i) {
            w[static_cast<std::size_t>(i)] = 0.01f * static_cast<float>(i % 7 - 3);
            norm += std::fabs(w[static_cast<std::size_t>(i)]);
        }
        NetworkShape shape{{{n, 1, Activation::identity, 0.2f, 0, 0}}};
        const auto model = model_of(*backend, shape, format_of(1, 1, n, 2, true), {w, {0.5f}});
        AttackOptions options;
        options.method = attack_method("fgsm");
        options.batch_size = 2;
        WhiteBoxVictim victim({model.get()}, 2);
        AttackBatch batch(*backend, 2, n);
        const AttackSet grey{std::vector<std::uint8_t>(static_cast<std::size_t>(n), 128), {0}, {}};
        batch.load(grey, grey.samples(), grey.labels);
        const float clean = victim.host_logits(batch.origin(), 1)[1];
        options.method->prepare({victim, nullptr, batch, grey, options})->run(0, epsilon, 0);
        const double change = victim.host_logits(batch.x(), 1)[1] - clean;
        EXPECT_NEAR(change, 2 * epsilon * norm, 1e-4 * (1 + norm)) << n;
        EXPECT_GT(change, before) << n;
        before = change;
    }
}

// The net of cleverhans' own unit test (x W1, sigmoid, W2); values computed in float64. Its inputs
// lie in [-1, 1], so a pixel is (x + 1) / 2 and the gradient by it twice as large.
TEST_P(VictimTest, CleverhansNet) {
    NetworkShape shape{
        {{2, 2, Activation::sigmoid, 0.2f, 0, 0}, {2, 2, Activation::identity, 0.2f, 0, 2}}};
    const auto model =
        model_of(*backend, shape, format_of(1, 1, 2, 2),
                 {{1.5f, -2, 0.3f, 0.3f}, {0, 0}, {-2.4f, 0.5f, 1.2f, -2.3f}, {0, 0}});
    const std::vector<float> x = {0.25f, -0.5f, 0.1f, 0.9f, -0.4f, 0.3f, 0.8f, -0.2f};
    const std::vector<double> expected = {-.117894814, .244577942,  .138140454,  -.310385268,
                                          .275397015,  -.546919308, -.102181284, .227134769};
    std::vector<float> pixels;
    for (const float v : x) {
        pixels.push_back((v + 1) / 2);
    }
    WhiteBoxVictim victim({model.get()}, 4);
    const DeviceArray<float> on = on_device(pixels);
    const DeviceArray<std::int32_t> label = on_device(std::vector<std::int32_t>{1, 0, 0, 1});
    const DeviceArray<float> gradient(*backend, 8), loss(*backend, 4);
    EXPECT_EQ(victim.predictions(on.matrix(4, 2), 4), (std::vector<std::int32_t>{1, 0, 0, 1}));
    victim.gradient(gradient.matrix(4, 2), loss.view(), on.matrix(4, 2), label.view(), {});
    const std::vector<float> g = from_device(gradient);
    double total = 0;
    for (const float one : from_device(loss)) {
        total += one;
    }
    EXPECT_NEAR(total, 1.166518636522, 1e-6);
    for (std::size_t i = 0; i < g.size(); ++i) {
        EXPECT_NEAR(g[i] / 2, expected[i], 4e-7) << i;
    }
    const std::vector<std::pair<float, std::vector<std::int32_t>>> answers = {
        {0.1f, {1, 0, 0, 1}}, {0.5f, {1, 1, 1, 1}}, {1.0f, {0, 1, 1, 0}}};
    for (const auto& [epsilon, labels] : answers) {
        std::vector<float> moved = x;
        for (std::size_t i = 0; i < moved.size(); ++i) {
            moved[i] += epsilon * static_cast<float>((g[i] > 0) - (g[i] < 0));
        }
        EXPECT_EQ(argmax_of(network_answers(*model, moved), 2), labels) << epsilon;
    }
}

// Of the gradient by the pixels, for every loss: the largest error against central differences of the loss
// itself, as a multiple of what is allowed.
double worst_gradient(Backend& backend, const std::vector<const ClassifierModel*>& members) {
    WhiteBoxVictim victim(members, 2);
    constexpr float h = 1.0f / 512; // losses are in float32
    std::vector<float> pixels;
    for (int i = 0; i < 24; ++i) {
        pixels.push_back(0.1f + 0.8f * static_cast<float>((i * 37) % 101) / 101.0f);
    }
    const std::vector<std::int32_t> labels = {1, 0};
    const DeviceArray<std::int32_t> label(backend, 2);
    backend.upload(label.view().data, labels.data(), 2 * sizeof(std::int32_t));
    const DeviceArray<float> on(backend, 24), gradient(backend, 24), loss(backend, 2);
    double worst = 0;
    for (const VictimLoss kind : {VictimLoss::cross_entropy, VictimLoss::margin,
                                  VictimLoss::probability_l1, VictimLoss::probability_l2}) {
        const auto losses_at = [&](const std::vector<float>& at) {
            backend.upload(on.view().data, at.data(), 24 * sizeof(float));
            victim.gradient(gradient.matrix(2, 12), loss.view(), on.matrix(2, 12), label.view(),
                            {.loss = kind});
            std::vector<float> losses(2);
            loss.download(losses.data(), 2);
            return losses;
        };
        losses_at(pixels);
        std::vector<float> analytic(24);
        gradient.download(analytic.data(), 24);
        for (std::size_t i = 0; i < pixels.size(); ++i) {
            std::vector<float> above = pixels, below = pixels;
            above[i] += h;
            below[i] -= h;
            const std::size_t row = i / 12;
            const double slope =
                (static_cast<double>(losses_at(above)[row]) - losses_at(below)[row]) / (2 * h);
            const double error = std::fabs(analytic[i] - slope) / (1e-3 * (1 + std::fabs(slope)));
            worst = error <= worst ? worst : error; // NaN counts
        }
    }
    return worst;
}

// Single models, binary heads and ensembles. tanh: a difference across a kink of leaky ReLU would say
// nothing.
TEST_P(VictimTest, GradientsAreThoseOfTheLoss) {
    const ClassifierFormat three = format_of(1, 3, 4, 3), two = format_of(1, 3, 4, 2);
    const auto a = random_model(*backend, three, 1, Activation::tanh);
    const auto b = random_model(*backend, three, 2, Activation::tanh);
    const auto c = random_model(*backend, two, 3, Activation::tanh);
    const auto d = random_model(*backend, format_of(1, 3, 4, 2, true), 4, Activation::tanh);
    const std::vector<std::vector<const ClassifierModel*>> victims = {
        {a.get()}, {a.get(), b.get()}, {d.get()}, {c.get(), d.get()}};
    for (const auto& members : victims) {
        EXPECT_FALSE(!(worst_gradient(*backend, members) <= 1)) << "members " << members.size();
    }
}

// A layer that forgets its input gradient, as one does whose weights are thought to be all that is asked
// for.
class WithoutInputGradient final : public Layer {
  public:
    explicit WithoutInputGradient(LayerPointer layer) : layer_(std::move(layer)) {}
    std::string text() const override { return layer_->text(); }
    Extent out() const override { return layer_->out(); }
    std::vector<std::int64_t> weight_shape() const override { return layer_->weight_shape(); }
    std::int64_t fan_in() const override { return layer_->fan_in(); }
    bool applies_epilogue() const override { return layer_->applies_epilogue(); }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float> weight, Vector<const float> bias, const Epilogue& epilogue,
                 const LayerPass& pass) const override {
        layer_->forward(backend, y, x, weight, bias, epilogue, pass);
    }
    void input_gradient(Backend&, Matrix<float>, std::size_t, Matrix<const float>,
                        Vector<const float>, Matrix<const float>, const Epilogue&,
                        const LayerPass&) const override {}

  private:
    LayerPointer layer_;
};

// Through convolutions, too; and the comparison sees a first layer that is skipped.
TEST_P(VictimTest, GradientsGoThroughTheFirstConvolution) {
    NetworkShape shape = network_shape_from_description(
        "1x3x4; conv 1>3 k3 p1 tanh as=maps; conv 3>3 k3 p1 tanh; add maps; linear 36>3");
    const auto worst = [&] {
        ClassifierModel model(*backend, shape, format_of(1, 3, 4, 3));
        model.network().initialise(5, 1);
        return worst_gradient(*backend, {&model});
    };
    EXPECT_FALSE(!(worst() <= 1));
    shape.layers[0].layer = std::make_shared<WithoutInputGradient>(shape.layers[0].layer);
    EXPECT_GT(worst(), 10);
}

TEST_P(VictimTest, EnsembleIsTheMeanLogit) {
    const auto a = random_model(*backend, format_of(1, 2, 3, 2), 5);
    const auto b = random_model(*backend, format_of(1, 2, 3, 2, true), 6);
    const std::vector<float> pixels = {0, 0.2f, 0.4f,  0.6f, 0.8f,  1,
                                       1, 0.5f, 0.25f, 0,    0.75f, 0.1f};
    const std::vector<float> of_a = a->logits(std::span<const float>(pixels));
    const std::vector<float> of_b = b->logits(std::span<const float>(pixels));
    WhiteBoxVictim victim({a.get(), b.get()}, 2);
    const DeviceArray<float> on = on_device(pixels);
    const std::vector<float> mean = victim.host_logits(on.matrix(2, 6), 2);
    for (std::size_t i = 0; i < mean.size(); ++i) {
        EXPECT_NEAR(mean[i], (of_a[i] + of_b[i]) / 2, 1e-6);
    }
}

TEST_P(VictimTest, BlackBoxCountsEveryRow) {
    const auto model = random_model(*backend, format_of(1, 2, 3, 2), 7);
    BlackBoxVictim victim({model.get()}, 4, 3);
    const DeviceArray<float> x(*backend, 24);
    victim.scores(x.matrix(4, 6), std::vector<std::int64_t>{0, 2, 2, 0});
    victim.scores(x.matrix(1, 6), std::vector<std::int64_t>{2});
    EXPECT_EQ(victim.queries(), (std::vector<std::int64_t>{2, 0, 3}));
    victim.forget_queries();
    EXPECT_EQ(victim.queries(), (std::vector<std::int64_t>{0, 0, 0}));
}

TEST_P(VictimTest, RefusesModelsThatDoNotFit) {
    const auto a = random_model(*backend, format_of(1, 2, 3, 2), 8);
    const auto b = random_model(*backend, format_of(1, 3, 3, 2), 9);
    const auto c = random_model(*backend, format_of(1, 2, 3, 3), 10);
    EXPECT_THROW(MeanLogits({}, 1, false), std::invalid_argument);
    EXPECT_THROW(WhiteBoxVictim({a.get(), b.get()}, 1), std::invalid_argument);
    EXPECT_THROW(WhiteBoxVictim({a.get(), c.get()}, 1), std::invalid_argument);
    EXPECT_THROW(WhiteBoxVictim({a.get()}, 1, b.get()), std::invalid_argument);
    EXPECT_THROW(WhiteBoxVictim({c.get()}, 1, c.get()), std::invalid_argument);
}

} // namespace
} // namespace patchforge::testing
