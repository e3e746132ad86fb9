// Networks with normalisation and minibatch discrimination: gradients against central differences
// of a float64 forward pass, evaluation, and their weights as files.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "host/files/safetensors.h"
#include "host/network/trace.h"
#include "tests/host/network/network_oracle.h"
#include "tests/kernels/backends.h"
#include "tests/oracle/activation.h"
#include "tests/oracle/linear.h"
#include "tests/oracle/normalise.h"

namespace patchforge {
namespace {

using oracle::DoubleMatrix;

constexpr std::uint64_t seed = 881;
constexpr std::uint32_t purpose = 700;

using testing::rows_of;
using Values = testing::NetworkValues;

// A training pass of `groups` groups.
DoubleMatrix forward(const NetworkShape& shape, const Values& values, DoubleMatrix x,
                     std::int64_t groups) {
    for (std::size_t l = 0; l < shape.layers.size(); ++l) {
        const LayerShape& layer = shape.layers[l];
        if (layer.follows()) {
            x = testing::compared(layer, x, values, groups);
            continue;
        }
        DoubleMatrix z =
            oracle::linear(x, {layer.outputs, layer.inputs, values.at(layer.weight_name())},
                           values.at(layer.bias_name()))
                .value;
        if (layer.normalisation != Normalisation::none) {
            const bool whole = layer.normalisation == Normalisation::virtual_batch;
            const std::int64_t parts = whole ? 1 : groups, rows = z.rows / parts;
            DoubleMatrix y(0, z.columns);
            for (std::int64_t part = 0; part < parts; ++part) {
                const auto normalised = oracle::normalise(
                    rows_of(z, part * rows, rows), whole ? layer.reference_rows : rows,
                    values.at(layer.normalisation_name("weight")),
                    values.at(layer.normalisation_name("bias")));
                y.values.insert(y.values.end(), normalised.y.values.begin(),
                                normalised.y.values.end());
            }
            z.values = y.values;
        }
        const Epilogue epilogue{layer.activation,
                                layer.slope,
                                layer.dropout,
                                {seed, purpose + static_cast<std::uint32_t>(l), {}}};
        x = oracle::activate(z, oracle::Epilogue(epilogue, 0));
    }
    return x;
}

double loss_of(const DoubleMatrix& logit) {
    double sum = 0;
    for (const double l : logit.values) {
        sum += std::log1p(std::exp(-l));
    }
    return sum / static_cast<double>(logit.values.size());
}

class LayersTest : public testing::BackendTest {
  protected:
    static constexpr std::int64_t inputs = 21;
    static constexpr std::int64_t rows = 10;

    NetworkShape shape(Normalisation normalisation, std::int64_t closeness) const {
        NetworkShape shape = multilayer_perceptron(inputs, {19, 13}, 1, Activation::leaky_relu,
                                                   0.2f, true, 0.3f, Activation::identity);
        for (std::size_t l = 0; l < 2; ++l) {
            shape.layers[l].normalisation = normalisation;
            shape.layers[l].reference_rows = normalisation == Normalisation::virtual_batch ? 4 : 0;
            shape.layers[l].module_index = static_cast<int>(4 * l);
        }
        shape.layers[2].module_index = 9;
        if (closeness > 0) {
            LayerShape last = shape.layers.back();
            shape.layers.pop_back();
            append_closeness(shape, closeness, 3);
            last.inputs = shape.outputs();
            shape.layers.push_back(last);
        }
        return shape;
    }

    std::vector<float> random_input() const {
        std::mt19937 engine(seed);
        std::uniform_real_distribution<float> uniform(-1, 1);
        std::vector<float> input(static_cast<std::size_t>(rows * inputs));
        for (float& value : input) {
            value = uniform(engine);
        }
        return input;
    }

    void check(const NetworkShape& shape, std::int64_t groups) {
        Network network(backend(), shape);
        network.initialise(seed, 1);
        Trace pass(network, rows + 3);
        const std::vector<float> host_input = random_input();
        DeviceArray<float> input(backend(), rows * inputs), d_input(backend(), rows * inputs);
        DeviceArray<float> again(backend(), rows * inputs);
        DeviceArray<float> metrics(backend(), GeneratorMetrics::count);
        DeviceArray<float> gradients(backend(), network.all().value.size);
        input.upload(host_input.data(), rows * inputs);
        const auto run = [&] {
            const Matrix<float> logit =
                pass.forward(input.matrix(rows, inputs), {true, seed, purpose, {}, groups});
            backend().generator_loss(pass.output_gradient().flat(), metrics.view(), logit.flat(),
                                     GanLoss::non_saturating);
        };
        run();
        pass.backward_gradients(gradients.view(), false, d_input.matrix(rows, inputs));
        run();
        pass.backward_input(again.matrix(rows, inputs));
        const auto download = [](const DeviceArray<float>& array) {
            std::vector<float> host(static_cast<std::size_t>(array.size()));
            array.download(host.data(), array.size());
            return host;
        };
        const auto host_gradients = download(gradients), host_d_input = download(d_input);
        EXPECT_EQ(host_d_input, download(again));

        Values values;
        for (const Tensor& tensor : network.weights().tensors) {
            const auto data = f32(tensor);
            values[tensor.name] = {data.begin(), data.end()};
        }
        DoubleMatrix x(rows, inputs, host_input);
        const auto loss = [&] { return loss_of(forward(shape, values, x, groups)); };
        const auto compare = [&](std::vector<double>& numbers, const float* claimed,
                                 const std::string& what) {
            for (std::size_t e = 0; e < numbers.size(); e += 1 + numbers.size() / 60) {
                const double h = 1e-7, before = numbers[e];
                numbers[e] = before + h;
                const double above = loss();
                numbers[e] = before - h;
                const double below = loss();
                numbers[e] = before;
                const double measured = (above - below) / (2 * h);
                const double error = std::abs(measured - double{claimed[e]});
                EXPECT_FALSE(!(error <= 4e-6 + 4e-5 * std::abs(measured)))
                    << what << " " << e << ": difference " << measured << ", backward "
                    << claimed[e] << ", seed " << seed;
            }
        };
        const auto place = [&](const float* tensor) {
            return host_gradients.data() + (tensor - network.all().value.data);
        };
        for (std::int64_t l = 0; l < network.layer_count(); ++l) {
            const LayerShape& layer = shape.layers[static_cast<std::size_t>(l)];
            compare(values[layer.weight_name()], place(network.weight(l).data), "weight");
            if (layer.bias) {
                compare(values[layer.bias_name()], place(network.bias(l).data), "bias");
            }
            if (layer.normalisation != Normalisation::none) {
                compare(values[layer.normalisation_name("weight")], place(network.scale(l).data),
                        "scale");
                compare(values[layer.normalisation_name("bias")], place(network.shift(l).data),
                        "shift");
            }
        }
        compare(x.values, host_d_input.data(), "input");
    }
};

TEST_P(LayersTest, BatchNormalisation) {
    check(shape(Normalisation::batch, 0), 1);
}
TEST_P(LayersTest, BatchNormalisationOfTwoGroups) {
    check(shape(Normalisation::batch, 0), 2);
}
TEST_P(LayersTest, VirtualBatchNormalisation) {
    check(shape(Normalisation::virtual_batch, 0), 1);
}
TEST_P(LayersTest, MinibatchDiscrimination) {
    check(shape(Normalisation::none, 6), 2);
}
TEST_P(LayersTest, NormalisedAndCompared) {
    check(shape(Normalisation::batch, 6), 2);
}

// nn.BatchNorm1d: running = 0.9 running + 0.1 batch, the variance unbiased; evaluation uses them.
TEST_P(LayersTest, EvaluationUsesRunningStatistics) {
    NetworkShape one;
    one.layers.push_back({1, 1, Activation::identity, 0.2f, 0, 0, Normalisation::batch});
    Network network(backend(), one);
    network.initialise(seed, 0);
    const float weight = 1, bias = 0;
    backend().upload(network.weight(0).data, &weight, sizeof(float));
    backend().upload(network.bias(0).data, &bias, sizeof(float));
    Trace pass(network, 3);
    DeviceArray<float> input(backend(), 3);
    const std::vector<float> host = {1, 3, 8}; // mean 4, unbiased variance 13
    input.upload(host.data(), 3);
    pass.forward(input.matrix(3, 1), {true, seed, purpose, {}, 1});
    const TensorFile file = network.weights();
    EXPECT_NEAR(f32(file.at("1.running_mean"))[0], 0.4, 1e-6);
    EXPECT_NEAR(f32(file.at("1.running_var"))[0], 0.9 + 1.3, 1e-6);
    const Matrix<float> y = pass.forward(input.matrix(3, 1));
    std::vector<float> answer(3);
    backend().download(answer.data(), y.data, 3 * sizeof(float));
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_NEAR(answer[i], (host[i] - 0.4) / std::sqrt(2.2 + 1e-5), 1e-5);
    }
}

TEST_P(LayersTest, WeightsComeBackFromAFile) {
    NetworkShape wanted = shape(Normalisation::virtual_batch, 0);
    wanted.layers[0].trained = false;
    EXPECT_EQ(describe(network_shape_from_description(describe(wanted))), describe(wanted));
    const NetworkShape compared = shape(Normalisation::batch, 6);
    EXPECT_EQ(describe(network_shape_from_description(describe(compared))), describe(compared));
    for (const NetworkShape& each : {wanted, compared}) {
        Network first(backend(), each), second(backend(), each);
        first.initialise(seed, 0);
        second.initialise(seed + 1, 0);
        EXPECT_NE(first.weights().at("4.weight").bytes, second.weights().at("4.weight").bytes);
        second.load_weights(first.weights(), "test");
        TensorFile moments;
        first.add_moments(moments);
        second.load_moments(moments, "test");
        const TensorFile a = first.weights(), b = second.weights();
        ASSERT_EQ(a.tensors.size(), b.tensors.size());
        for (std::size_t t = 0; t < a.tensors.size(); ++t) {
            EXPECT_EQ(a.tensors[t].name, b.tensors[t].name);
            EXPECT_EQ(a.tensors[t].bytes, b.tensors[t].bytes) << a.tensors[t].name;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Every, LayersTest, ::testing::Values("cpu", "cuda"),
                         [](const auto& info) { return std::string(info.param); });

} // namespace
} // namespace patchforge
