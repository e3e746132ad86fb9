// The oracle itself: its gradients against central differences of its values, in float64, away from
// kinks. What the backends are compared with is proven here.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "tests/oracle/activation.h"
#include "tests/oracle/linear.h"
#include "tests/oracle/loss.h"
#include "tests/oracle/noise.h"
#include "tests/oracle/optimiser.h"

namespace patchforge::oracle {
namespace {

std::vector<double> random_values(std::uint64_t seed, std::int64_t count, double low, double high) {
    std::mt19937_64 engine(seed);
    std::vector<double> values(static_cast<std::size_t>(count));
    for (double& value : values) {
        value = low + (high - low) * static_cast<double>(engine() >> 11) * 0x1p-53;
    }
    return values;
}

// Compares `gradient` with (f(x + h) - f(x - h)) / 2h for every element. With h = 1e-5 the formula
// is off by h^2 / 6 times the third derivative and by 1e-16 / h times the value: 1e-9 covers both.
void expect_gradient(const std::function<double(const std::vector<double>&)>& value,
                     std::vector<double> x, const std::vector<double>& gradient,
                     double tolerance = 1e-9) {
    ASSERT_EQ(x.size(), gradient.size());
    const double h = 1e-5;
    for (std::size_t e = 0; e < x.size(); ++e) {
        const double at = x[e];
        x[e] = at + h;
        const double above = value(x);
        x[e] = at - h;
        const double below = value(x);
        x[e] = at;
        EXPECT_TRUE(std::fabs((above - below) / (2 * h) - gradient[e]) <= tolerance)
            << "element " << e << " at " << at << ": " << gradient[e] << ", differences give "
            << (above - below) / (2 * h);
    }
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t e = 0; e < a.size(); ++e) {
        sum += a.at(e) * b.at(e);
    }
    return sum;
}

TEST(OracleGradient, Epilogues) {
    for (const Activation activation :
         {Activation::identity, Activation::relu, Activation::leaky_relu, Activation::tanh,
          Activation::sigmoid}) {
        for (const double dropout : {0.0, 0.25}) {
            Epilogue epilogue;
            epilogue.activation = activation;
            epilogue.dropout = dropout;
            epilogue.random = {1, 2, 3};
            auto z = random_values(1, 40, -3, 3);
            for (double& value : z) {
                value = std::fabs(value) < 0.01 ? 0.5 : value;
            }
            const auto dy = random_values(2, 40, -1, 1);
            const DoubleMatrix y = activate(DoubleMatrix(5, 8, z), epilogue);
            SCOPED_TRACE(testing::Message() << "activation " << static_cast<int>(activation)
                                            << ", dropout " << dropout);
            expect_gradient(
                [&](const std::vector<double>& at) {
                    return dot(activate(DoubleMatrix(5, 8, at), epilogue).values, dy);
                },
                z, activation_gradient({5, 8, dy}, y, epilogue).values);
        }
    }
}

TEST(OracleGradient, KinksTakeTheDerivativeFromBelow) {
    EXPECT_EQ(activation_derivative(Activation::relu, 0.2, 0), 0);
    EXPECT_EQ(activation_derivative(Activation::leaky_relu, 0.2, 0), 0.2);
}

// The loss is a weighted sum of z, so that dz are the weights.
TEST(OracleGradient, Linear) {
    const std::int64_t batch = 3, inputs = 5, outputs = 4;
    const auto x = random_values(3, batch * inputs, -1, 1);
    const auto weight = random_values(4, outputs * inputs, -1, 1);
    const auto bias = random_values(5, outputs, -1, 1);
    const auto dz = random_values(6, batch * outputs, -1, 1);
    const auto value = [&](const std::vector<double>& x_, const std::vector<double>& w,
                           const std::vector<double>& b) {
        return dot(linear({batch, inputs, x_}, {outputs, inputs, w}, b).value.values, dz);
    };
    const DoubleMatrix d(batch, outputs, dz);
    expect_gradient([&](const auto& at) { return value(at, weight, bias); }, x,
                    linear_input_gradient(d, {outputs, inputs, weight}).value.values);
    expect_gradient([&](const auto& at) { return value(x, at, bias); }, weight,
                    linear_weight_gradient(d, {batch, inputs, x}).value.values);
    expect_gradient([&](const auto& at) { return value(x, weight, at); }, bias,
                    linear_bias_gradient(d).value.values);
}

TEST(OracleGradient, GanLosses) {
    for (const GanLoss loss : {GanLoss::non_saturating, GanLoss::minimax, GanLoss::least_squares,
                               GanLoss::hinge, GanLoss::wasserstein, GanLoss::pearson}) {
        for (const double label : {1.0, 0.9}) {
            SCOPED_TRACE(testing::Message() << "loss " << static_cast<int>(loss));
            auto logit = random_values(7, 12, -4, 4);
            for (double& l : logit) {
                l = std::fabs(std::fabs(l) - 1) < 0.01 ? 2 : l; // the hinges stand at 1 and -1
            }
            expect_gradient(
                [&](const std::vector<double>& at) {
                    const auto metrics = discriminator_loss(at, 5, loss, label).metrics;
                    return metrics[DiscriminatorMetrics::loss_real] +
                           metrics[DiscriminatorMetrics::loss_fake];
                },
                logit, discriminator_loss(logit, 5, loss, label).d_logit);
            expect_gradient(
                [&](const std::vector<double>& at) {
                    return generator_loss(at, loss).metrics[GeneratorMetrics::loss];
                },
                logit, generator_loss(logit, loss).d_logit);
        }
    }
}

TEST(OracleGradient, SoftmaxCrossEntropy) {
    for (const std::int64_t classes : {2, 3, 11}) {
        const auto logit = random_values(8, classes, -4, 4);
        for (std::int32_t label = 0; label < classes; ++label) {
            expect_gradient(
                [&](const std::vector<double>& at) {
                    return softmax_cross_entropy(at, label).metrics[0];
                },
                logit, softmax_cross_entropy(logit, label).d_logit);
        }
    }
}

// A whole network of two layers, by its weights and by its input.
TEST(OracleGradient, TwoLayersAndALoss) {
    const std::int64_t batch = 4, inputs = 6, hidden = 5;
    Epilogue epilogue;
    epilogue.activation = Activation::leaky_relu;
    epilogue.dropout = 0.5;
    epilogue.random = {4, 16, 1};
    const auto x = random_values(9, batch * inputs, -1, 1);
    const auto w1 = random_values(10, hidden * inputs, -1, 1);
    const auto w2 = random_values(11, hidden, -1, 1);
    const auto layer = [&](const auto& x_, const auto& w) {
        return activate(linear({batch, inputs, x_}, {hidden, inputs, w}, {}).value, epilogue);
    };
    const auto loss = [&](const auto& x_, const auto& w) {
        return generator_loss(linear(layer(x_, w), {1, hidden, w2}, {}).value.values,
                              GanLoss::non_saturating);
    };
    const DoubleMatrix h = layer(x, w1);
    const DoubleMatrix d_logit(batch, 1, loss(x, w1).d_logit);
    const DoubleMatrix d_z =
        activation_gradient(linear_input_gradient(d_logit, {1, hidden, w2}).value, h, epilogue);
    expect_gradient([&](const auto& at) { return loss(x, at).metrics[GeneratorMetrics::loss]; }, w1,
                    linear_weight_gradient(d_z, {batch, inputs, x}).value.values);
    expect_gradient([&](const auto& at) { return loss(at, w1).metrics[GeneratorMetrics::loss]; }, x,
                    linear_input_gradient(d_z, {hidden, inputs, w1}).value.values);
}

TEST(OracleLoss, IsFiniteFarOutAndExactNearby) {
    EXPECT_EQ(binary_cross_entropy(800, 0), 800);
    EXPECT_EQ(binary_cross_entropy(-800, 1), 800);
    EXPECT_EQ(sigmoid(-800), 0);
    EXPECT_EQ(sigmoid(800), 1);
    EXPECT_NEAR(binary_cross_entropy(0, 0.3), std::log(2), 1e-15);
    for (const double l : {-3.0, -0.5, 0.7, 4.0}) {
        const double p = 1 / (1 + std::exp(-l));
        for (const double t : {0.0, 0.9, 1.0}) {
            EXPECT_NEAR(binary_cross_entropy(l, t), -t * std::log(p) - (1 - t) * std::log(1 - p),
                        1e-14);
        }
    }
}

// The first step of Adam moves every weight by the rate against the sign of its gradient, whatever
// the gradient's size (Kingma & Ba, section 2.1); constant gradients keep doing so.
TEST(OracleAdam, MovesByTheRate) {
    const Adam options{.learning_rate = 0.001f, .step = {}};
    for (const double gradient : {3.0, -0.02, 1e-3}) {
        AdamElement element{{0.5}, {}, {}};
        for (std::uint64_t step = 0; step < 5; ++step) {
            element = adam(element, {gradient}, options, step);
            EXPECT_NEAR(element.weight.value,
                        0.5 - 0.001 * static_cast<double>(step + 1) * (gradient > 0 ? 1 : -1),
                        5e-8);
        }
    }
}

// Two steps worked out by hand from the formula with b1 = 0.5, b2 = 0.75, lr = 0.5, eps = 0:
// g = 2: m = 1, v = 1, m^ = 2, v^ = 4, w = 1 - 0.5 * 2 / 2 = 0.5;
// g = -1: m = 0, v = 1, w stays.
TEST(OracleAdam, TwoStepsByHand) {
    const Adam options{
        .learning_rate = 0.5f, .beta1 = 0.5f, .beta2 = 0.75f, .epsilon = 0, .step = {}};
    AdamElement element{{1}, {}, {}};
    element = adam(element, {2}, options, 0);
    EXPECT_DOUBLE_EQ(element.weight.value, 0.5);
    EXPECT_DOUBLE_EQ(element.first_moment.value, 1);
    EXPECT_DOUBLE_EQ(element.second_moment.value, 1);
    element = adam(element, {-1}, options, 1);
    EXPECT_DOUBLE_EQ(element.weight.value, 0.5);
    EXPECT_DOUBLE_EQ(element.second_moment.value, 1);
}

TEST(OracleAdam, RateDecays) {
    using Shape = RateSchedule::Shape;
    const auto rate = [](Shape shape, std::uint64_t step) {
        return adam_rate({.learning_rate = 1, .step = {}, .schedule = {shape, 0.5f, 10, 20}}, step);
    };
    for (const Shape shape : {Shape::constant, Shape::linear, Shape::cosine, Shape::step}) {
        EXPECT_EQ(rate(shape, 0), 1);
        EXPECT_EQ(rate(shape, 10), 1);
    }
    EXPECT_EQ(rate(Shape::constant, 99), 1);
    EXPECT_DOUBLE_EQ(rate(Shape::linear, 15), 0.5);
    EXPECT_DOUBLE_EQ(rate(Shape::linear, 12), 0.8);
    EXPECT_DOUBLE_EQ(rate(Shape::cosine, 15), 0.5);
    EXPECT_NEAR(rate(Shape::cosine, 12), 0.9045084971874737, 1e-15); // cos(18 degrees)^2
    for (const Shape shape : {Shape::linear, Shape::cosine}) {
        EXPECT_NEAR(rate(shape, 20), 0, 1e-15);
        EXPECT_NEAR(rate(shape, 99), 0, 1e-15);
    }
    EXPECT_EQ(rate(Shape::step, 19), 1);
    EXPECT_EQ(rate(Shape::step, 20), 0.5);
    EXPECT_EQ(rate(Shape::step, 45), 0.125);
}

TEST(OracleNoise, PairsComeFromOneRadius) {
    const Stream random{1, 2, 3};
    const auto z = normal(100, 0, 1, random);
    for (std::size_t e = 0; e < z.size(); e += 2) {
        const double u1 = uniform_from_word(random.word(e));
        EXPECT_NEAR(z[e] * z[e] + z[e + 1] * z[e + 1], -2 * std::log(u1), 1e-12);
    }
}

} // namespace
} // namespace patchforge::oracle
