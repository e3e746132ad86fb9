// The penalties on the slope and their gradients against central differences of the penalty, both worked
// out in float64 from the definition: the slope is the gradient of D by its input. Of networks of layers
// that gradient is itself taken by differences of the oracle's answers, which are exact between two kinks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "host/files/safetensors.h"
#include "host/gan/gradient_penalty.h"
#include "tests/host/network/network_oracle.h"
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

using Slope = GradientPenalty::Slope;

// D's answers: the sum over the heads of the mean over each one's map.
std::vector<double> answers(const NetworkShape& shape, const testing::NetworkValues& values,
                            const oracle::DoubleMatrix& x, std::int64_t groups = 0) {
    std::vector<double> sums(static_cast<std::size_t>(x.rows));
    const auto outputs =
        testing::layer_values(shape, values, x, groups > 0, std::max<std::int64_t>(1, groups));
    for (const int head : shape.heads()) {
        const oracle::DoubleMatrix& y = outputs[static_cast<std::size_t>(head)];
        for (std::size_t e = 0; e < y.values.size(); ++e) {
            sums[e / static_cast<std::size_t>(y.columns)] +=
                y.values[e] / static_cast<double>(y.columns);
        }
    }
    return sums;
}

double layered_penalty(const NetworkShape& shape, const testing::NetworkValues& values,
                       const std::vector<float>& input, std::int64_t rows, std::int64_t pixels,
                       Slope slope) {
    const double h = 1e-5;
    oracle::DoubleMatrix x(rows * (pixels + 1), shape.inputs());
    for (std::int64_t e = 0; e < x.rows; ++e) {
        for (std::int64_t c = 0; c < x.columns; ++c) {
            x(e, c) = input[static_cast<std::size_t>(e / (pixels + 1) * x.columns + c)] +
                      (c < pixels && c == e % (pixels + 1) ? h : 0);
        }
    }
    const std::vector<double> y = answers(shape, values, x);
    double total = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
        const double* own = y.data() + row * (pixels + 1); // of a pixel moved; the last of none
        double squares = 0;
        for (std::int64_t i = 0; i < pixels; ++i) {
            squares += std::pow((own[i] - own[pixels]) / h, 2);
        }
        total += slope == Slope::one ? lambda * std::pow(std::sqrt(1e-4 + squares) - 1, 2)
                                     : lambda / 2 * squares;
    }
    return total / static_cast<double>(rows);
}

// Of any network that is smooth between kinks: what the sum of the answers of all rows has for a slope by
// each number, by central differences. Every batch with a number moved is normalised in itself.
double smooth_penalty(const NetworkShape& shape, const testing::NetworkValues& values,
                      const std::vector<float>& input, std::int64_t rows, std::int64_t pixels,
                      Slope slope) {
    const double h = 3e-5;
    const std::int64_t columns = shape.inputs(), moved = 2 * rows * pixels;
    oracle::DoubleMatrix x(moved * rows, columns);
    for (std::int64_t b = 0; b < moved; ++b) {
        std::copy(input.begin(), input.end(), x.values.begin() + b * rows * columns);
        x(b * rows + b / 2 / pixels, b / 2 % pixels) += b % 2 == 0 ? h : -h;
    }
    const std::vector<double> y = answers(shape, values, x, moved);
    std::vector<double> sums(static_cast<std::size_t>(moved));
    for (std::size_t e = 0; e < y.size(); ++e) {
        sums[e / static_cast<std::size_t>(rows)] += y[e];
    }
    double total = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
        double squares = 0;
        for (std::int64_t i = 0; i < pixels; ++i) {
            const double* two = sums.data() + 2 * (row * pixels + i);
            squares += std::pow((two[0] - two[1]) / (2 * h), 2);
        }
        total += slope == Slope::one ? lambda * std::pow(std::sqrt(1e-4 + squares) - 1, 2)
                                     : lambda / 2 * squares;
    }
    return total / static_cast<double>(rows);
}

struct LayeredCase {
    const char* text;
    std::int64_t pixels; // whose slope is meant
    Slope slope;
    // By difference: a number of a tensor, and the penalty's gradient by it.
    struct Difference {
        std::string tensor;
        std::size_t element;
        double value;
    };
    std::vector<Difference> differences{};
    double penalty = 0;
};

class LayeredPenaltyTest : public testing::BackendTest {
  protected:
    void check_all(std::vector<LayeredCase>& cases, std::int64_t rows) {
        for (LayeredCase& c : cases) {
            SCOPED_TRACE(c.text);
            check(c, rows);
        }
    }

    void check(LayeredCase& c, std::int64_t rows) {
        const NetworkShape shape = network_shape_from_description(c.text);
        Network network(backend(), shape);
        network.initialise(seed, 1);
        backend().affine(network.all().value, network.all().value, 1.8f, 0);
        std::mt19937 engine(seed);
        std::uniform_real_distribution<float> uniform(-1, 1);
        std::vector<float> host(static_cast<std::size_t>(rows * shape.inputs()));
        std::generate(host.begin(), host.end(), [&] { return uniform(engine); });
        DeviceArray<float> input(backend(), rows * shape.inputs()), metric(backend(), 1);
        input.upload(host.data(), input.size());
        DeviceArray<float> gradients(backend(), network.all().value.size);
        const TensorFile before = network.weights();
        GradientPenalty penalty(network, rows + 1, c.pixels);
        penalty.add_gradient(gradients.view(), metric.view(), input.matrix(rows, shape.inputs()),
                             lambda, c.slope);
        std::vector<float> claimed(static_cast<std::size_t>(gradients.size()));
        gradients.download(claimed.data(), gradients.size());
        float claimed_penalty = 0;
        metric.download(&claimed_penalty, 1);
        // Singular vectors included: D's own pass moves them, this one does not.
        const TensorFile after = network.weights();
        EXPECT_EQ(encode_safetensors(after.tensors, {}), encode_safetensors(before.tensors, {}));
        if (c.differences.empty()) {
            differentiate(c, network, host, rows);
        }
        EXPECT_NEAR(claimed_penalty, c.penalty, 2e-5 * c.penalty);
        std::map<std::string, std::int64_t> places;
        for (std::int64_t l = 0; l < network.layer_count(); ++l) {
            const LayerShape& layer = shape.layers[static_cast<std::size_t>(l)];
            const float* const all = network.all().value.data;
            if (layer.has_weights()) {
                places[layer.weight_name()] = network.weight(l).data - all;
                places[layer.bias_name()] = network.bias(l).data - all;
            }
            if (!network.scale(l).empty()) {
                places[layer.normalisation_name("weight")] = network.scale(l).data - all;
                places[layer.normalisation_name("bias")] = network.shift(l).data - all;
            }
        }
        for (const auto& [tensor, element, value] : c.differences) {
            const double ours = claimed[static_cast<std::size_t>(places.at(tensor)) + element];
            EXPECT_FALSE(!(std::abs(value - ours) <= 5e-5 * (1 + std::abs(value))))
                << tensor << " " << element << ": difference " << value << ", ours " << ours
                << ", seed " << seed;
        }
    }

  private:
    // Some numbers of every tensor that is trained.
    static void differentiate(LayeredCase& c, const Network& network,
                              const std::vector<float>& input, std::int64_t rows) {
        const NetworkShape& shape = network.shape();
        testing::NetworkValues values = testing::values_of(network);
        const bool smooth = std::any_of(shape.layers.begin(), shape.layers.end(), [](auto& layer) {
            return layer.normalisation != Normalisation::none;
        });
        const auto loss = [&] {
            return (smooth ? smooth_penalty : layered_penalty)(shape, values, input, rows, c.pixels,
                                                               c.slope);
        };
        c.penalty = loss();
        double largest = 0;
        const double h = 1e-5;
        for (const LayerShape& layer : shape.layers) {
            if (!layer.trained) {
                continue;
            }
            std::vector<std::string> names;
            if (layer.has_weights()) {
                names = {layer.weight_name(), layer.bias_name()};
            }
            if (layer.has_affine()) {
                names.push_back(layer.normalisation_name("weight"));
                names.push_back(layer.normalisation_name("bias"));
            }
            for (const std::string& name : names) {
                std::vector<double>& numbers = values.at(name);
                const std::size_t few = name == layer.weight_name() ? 7 : 1;
                for (std::size_t e = 0; e < numbers.size(); e += 1 + numbers.size() / few) {
                    const double before = numbers[e];
                    numbers[e] = before + h;
                    const double above = loss();
                    numbers[e] = before - h;
                    const double below = loss();
                    numbers[e] = before;
                    c.differences.push_back({name, e, (above - below) / (2 * h)});
                    largest = std::max(largest, std::abs(c.differences.back().value));
                }
            }
        }
        ASSERT_GT(c.penalty, 0.05) << "nothing to differentiate";
        ASSERT_GT(largest, 0.05) << "nothing to differentiate";
    }
};
PATCHFORGE_ON_EVERY_BACKEND(LayeredPenaltyTest);

// The oracle's differences are worked out once, for the first backend.
TEST_P(LayeredPenaltyTest, IsTheDerivativeOfTheSlopes) {
    static std::vector<LayeredCase> cases = {
        {"2x5x6; conv 2>3 k3 p1 leaky_relu as=skip; conv 3>3 k3 p1 leaky_relu; add skip "
         "leaky_relu; conv 3>4 k4 s2 p1 leaky_relu; pool average k2 s1; linear 8>1",
         60, Slope::one},
        {"2x5x6; conv 2>3 k3 p1 relu as=skip; conv 3>3 k3 p1; add skip relu; conv 3>4 k3 s2 p1 "
         "leaky_relu; pool global; 4>1",
         60, Slope::zero},
        // Spectrally normalised, two heads, a maximum, maps joined.
        {"2x6x6; conv 2>4 k3 p1 spectral leaky_relu as=pieces; conv 4>1 k1 spectral head; pool "
         "max k2 from=pieces as=half; depthwise k3 p1 spectral "
         "leaky_relu; concat half; conv 8>3 k3 s2 p1 spectral relu; linear 12>1 spectral",
         72, Slope::one},
        // The last channel says something else; layers that lay pictures out anew, and a fixed one.
        {"3x4x4; transposed 3>4 k4 s2 p1 leaky_relu; crop 6; pad 1; conv 4>3 k3 p2 d2 fixed; pool "
         "max k2 s3; view 27x1x1; 27>6 leaky_relu; 6>1",
         32, Slope::zero},
    };
    check_all(cases, 2);
}

// Normalisation bends: a weight changes the slope through the statistics of all that lies above it, too.
TEST_P(LayeredPenaltyTest, IsTheDerivativeThroughNormalisation) {
    static std::vector<LayeredCase> cases = {
        {"2x4x4; conv 2>4 k3 p1 norm=batch leaky_relu as=skip; conv 4>4 k3 p1 norm=batch noaffine; "
         "add skip "
         "leaky_relu; pool average k2; linear 16>1",
         32, Slope::one},
        {"2x4x4; conv 2>4 k3 p1 norm=instance leaky_relu; conv 4>4 k3 s2 p1 norm=group:2 relu; "
         "linear 16>3 norm=group:1 leaky_relu; 3>1",
         32, Slope::one},
        // Flat batches; a head of its own that ends above a normalised layer that the last one does not
        // read; spectral weights before statistics; scales left out; a fixed one, by running statistics.
        {"6>5 norm=batch leaky_relu as=low; 5>3 from=low norm=batch leaky_relu as=branch; 3>1 "
         "from=branch spectral head; 5>4 from=low spectral norm=batch relu; 4>1",
         5, Slope::zero},
        {"1x4x3; conv 1>4 k3 p1 fixed norm=batch leaky_relu; conv 4>4 k3 p1 spectral norm=group:2 "
         "leaky_relu; linear 48>1",
         12, Slope::zero},
    };
    check_all(cases, 3);
}

// Every sum has its order.
TEST(GradientPenalty, SameBitsForAnyNumberOfThreads) {
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 5}) {
        const auto backend = make_cpu_backend({.threads = threads});
        Network network(*backend, network_shape_from_description(
                                      "3x17x16; conv 3>8 k4 s2 p1 spectral leaky_relu; pool max "
                                      "k2; conv 8>9 k3 p1 norm=group:3 leaky_relu; linear "
                                      "144>12 norm=batch leaky_relu; 12>1"));
        network.initialise(seed, 1);
        DeviceArray<float> input(*backend, 5 * 816), metric(*backend, 1);
        backend->fill_normal(input.view(), 0, 1, {seed, 3, {}});
        DeviceArray<float> gradients(*backend, network.all().value.size);
        GradientPenalty penalty(network, 5, 816);
        for (const Slope slope : {Slope::one, Slope::zero}) {
            penalty.add_gradient(gradients.view(), metric.view(), input.matrix(5, 816), 3, slope);
        }
        std::vector<float>& host =
            results.emplace_back(static_cast<std::size_t>(gradients.size() + 1));
        gradients.download(host.data(), gradients.size());
        metric.download(host.data() + gradients.size(), 1);
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
}

// What a row's slope cannot be of is named, with what to take instead.
TEST(GradientPenalty, RefusesLayersWithoutATangent) {
    const auto backend = make_cpu_backend();
    const std::vector<std::pair<const char*, const char*>> refused = {
        {"16>4 norm=virtual:2 relu; 4>1", "layer 1 (16>4) normalises by reference rows"},
        {"1x4x4; conv 1>2 k3 p1; deviation 2; linear 48>1", "layer 2 (deviation 2)"},
        {"1x4x4; conv 1>2 k3 p1; noise 0.1; linear 32>1", "layer 2 (noise 0.1)"},
        {"1x4x4; conv 1>2 k3 p1 tanh; linear 32>1", "ends in tanh"},
        {"1x4x4; pool max k2 s1; linear 9>1", "overlap"},
        {"1x5x5; pool max k2 ceil; linear 9>1", "stick out"},
        {"16>4 closeness=2x3; 6>1", "closeness"},
    };
    for (const auto& [text, reason] : refused) {
        const Network network(*backend, network_shape_from_description(text));
        try {
            const GradientPenalty penalty(network, 2, 16);
            FAIL() << text;
        } catch (const std::invalid_argument& error) {
            EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Every, GradientPenaltyTest, ::testing::Values("cpu", "cuda"),
                         [](const auto& info) { return std::string(info.param); });

} // namespace
} // namespace patchforge
