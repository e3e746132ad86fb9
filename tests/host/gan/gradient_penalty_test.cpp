// The gradient penalty and its gradient against central differences of the penalty, both worked out
// in float64 from the definition: the slope is the gradient of D by its input.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "host/files/safetensors.h"
#include "host/gan/gradient_penalty.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

constexpr std::uint64_t seed = 733;
constexpr double lambda = 10;

struct Values {
    std::vector<std::vector<double>> weight, bias;
};

// mean over rows of lambda (sqrt(1e-4 + ||dD/dx||^2) - 1)^2, x's first `pixels` columns.
double penalty(const NetworkShape& shape, const Values& values, const std::vector<float>& input,
               std::int64_t rows, std::int64_t pixels) {
    double total = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
        // Slopes of the units of every layer, going up; then the chain of weights, going down.
        std::vector<double> x(input.begin() + row * shape.inputs(),
                              input.begin() + (row + 1) * shape.inputs());
        std::vector<std::vector<double>> unit_slopes;
        for (std::size_t l = 0; l < shape.layers.size(); ++l) {
            const LayerShape& layer = shape.layers[l];
            std::vector<double> y, slopes;
            for (std::int64_t o = 0; o < layer.outputs; ++o) {
                double z = values.bias[l][static_cast<std::size_t>(o)];
                for (std::int64_t i = 0; i < layer.inputs; ++i) {
                    z += values.weight[l][static_cast<std::size_t>(o * layer.inputs + i)] *
                         x[static_cast<std::size_t>(i)];
                }
                const double slope = layer.activation == Activation::identity || z > 0 ? 1
                                     : layer.activation == Activation::relu            ? 0
                                                                            : double{layer.slope};
                y.push_back(slope * z);
                slopes.push_back(slope);
            }
            x = y;
            unit_slopes.push_back(slopes);
        }
        std::vector<double> gradient = {1};
        for (std::size_t l = shape.layers.size(); l-- > 0;) {
            const LayerShape& layer = shape.layers[l];
            std::vector<double> below(static_cast<std::size_t>(layer.inputs));
            for (std::int64_t o = 0; o < layer.outputs; ++o) {
                const double g = gradient[static_cast<std::size_t>(o)] *
                                 unit_slopes[l][static_cast<std::size_t>(o)];
                for (std::int64_t i = 0; i < layer.inputs; ++i) {
                    below[static_cast<std::size_t>(i)] +=
                        g * values.weight[l][static_cast<std::size_t>(o * layer.inputs + i)];
                }
            }
            gradient = below;
        }
        double squares = 1e-4;
        for (std::int64_t i = 0; i < pixels; ++i) {
            squares +=
                gradient[static_cast<std::size_t>(i)] * gradient[static_cast<std::size_t>(i)];
        }
        total += lambda * std::pow(std::sqrt(squares) - 1, 2) / static_cast<double>(rows);
    }
    return total;
}

class GradientPenaltyTest : public testing::BackendTest {
  protected:
    void check(const NetworkShape& shape, std::int64_t rows, std::int64_t pixels) {
        Network network(backend(), shape);
        network.initialise(seed, 1);
        // Larger than nn.Linear's, so that the slope is not far from 1.
        backend().affine(network.all().value, network.all().value, 2.5f, 0);
        std::mt19937 engine(seed);
        std::uniform_real_distribution<float> uniform(-1, 1);
        std::vector<float> host(static_cast<std::size_t>(rows * shape.inputs()));
        for (float& value : host) {
            value = uniform(engine);
        }
        DeviceArray<float> input(backend(), rows * shape.inputs());
        input.upload(host.data(), input.size());
        DeviceArray<float> gradients(backend(), network.all().value.size);
        DeviceArray<float> metric(backend(), 1);
        GradientPenalty gradient_penalty(network, rows + 2, pixels);
        gradient_penalty.add_gradient(gradients.view(), metric.view(),
                                      input.matrix(rows, shape.inputs()), lambda);
        std::vector<float> claimed(static_cast<std::size_t>(gradients.size()));
        gradients.download(claimed.data(), gradients.size());
        float claimed_penalty = 0;
        metric.download(&claimed_penalty, 1);

        Values values;
        const TensorFile file = network.weights();
        for (const LayerShape& layer : shape.layers) {
            const auto weight = f32(file.at(layer.weight_name()));
            const auto bias = f32(file.at(layer.bias_name()));
            values.weight.emplace_back(weight.begin(), weight.end());
            values.bias.emplace_back(bias.begin(), bias.end());
        }
        const auto loss = [&] { return penalty(shape, values, host, rows, pixels); };
        EXPECT_NEAR(claimed_penalty, loss(), 1e-5 * loss());
        EXPECT_GT(loss(), 0.1) << "nothing to differentiate";
        const double h = 1e-6;
        int checked = 0;
        for (std::int64_t l = 0; l < network.layer_count(); ++l) {
            const LayerShape& layer = shape.layers[static_cast<std::size_t>(l)];
            const auto compare = [&](std::vector<double>& numbers, const float* place,
                                     const char* what) {
                for (std::size_t e = 0; e < numbers.size(); e += 1 + numbers.size() / 80) {
                    const double before = numbers[e];
                    numbers[e] = before + h;
                    const double above = loss();
                    numbers[e] = before - h;
                    const double below = loss();
                    numbers[e] = before;
                    const double measured = (above - below) / (2 * h);
                    const double ours =
                        claimed[static_cast<std::size_t>(place - network.all().value.data) + e];
                    const double error = std::abs(measured - ours);
                    EXPECT_FALSE(!(error <= 2e-5 * (1 + std::abs(measured))))
                        << what << " " << e << " of layer " << l << ": difference " << measured
                        << ", ours " << ours << ", seed " << seed;
                    ++checked;
                }
            };
            if (layer.trained) {
                compare(values.weight[static_cast<std::size_t>(l)], network.weight(l).data,
                        "weight");
                compare(values.bias[static_cast<std::size_t>(l)], network.bias(l).data, "bias");
            }
        }
        EXPECT_GT(checked, 100);
    }
};

TEST_P(GradientPenaltyTest, LeakyRelu) {
    check(multilayer_perceptron(45, {33, 17}, 1, Activation::leaky_relu, 0.2f, true, 0.5f,
                                Activation::identity),
          7, 45);
}

TEST_P(GradientPenaltyTest, ReluAndThreeHiddenLayers) {
    check(multilayer_perceptron(21, {19, 33, 12}, 1, Activation::relu, 0.2f, true, 0,
                                Activation::identity),
          5, 21);
}

TEST_P(GradientPenaltyTest, ClassColumnsHaveNoSlope) {
    check(multilayer_perceptron(33, {20, 9}, 1, Activation::leaky_relu, 0.2f, true, 0.3f,
                                Activation::identity),
          6, 30);
}

TEST_P(GradientPenaltyTest, BehindAFixedLayer) {
    NetworkShape shape = multilayer_perceptron(40, {24, 16, 9}, 1, Activation::leaky_relu, 0.2f,
                                               true, 0, Activation::identity);
    shape.layers[0].activation = Activation::identity;
    shape.layers[0].trained = false;
    check(shape, 6, 40);
}

INSTANTIATE_TEST_SUITE_P(Every, GradientPenaltyTest, ::testing::Values("cpu", "cuda"),
                         [](const auto& info) { return std::string(info.param); });

} // namespace
} // namespace patchforge
