// Gradients of whole networks against central differences of the loss, computed in float64: the
// discriminator, the generator through the discriminator, and the input gradient that attacks use.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "host/files/safetensors.h"
#include "host/network/trace.h"
#include "tests/kernels/backends.h"
#include "tests/oracle/activation.h"
#include "tests/oracle/linear.h"

namespace patchforge {
namespace {

using oracle::DoubleMatrix;

constexpr std::uint64_t seed = 417;
constexpr std::int64_t batch = 5;
// Of the float64 differences: the third derivative is of order 1, rounding 1e-16 / 1e-6.
constexpr double step = 1e-6;

struct Values {
    std::vector<DoubleMatrix> weight;
    std::vector<std::vector<double>> bias;
};

Values values_of(const Network& network) {
    const TensorFile file = network.weights();
    Values values;
    for (const LayerShape& layer : network.shape().layers) {
        const auto weight = f32(file.at(layer.weight_name()));
        values.weight.emplace_back(layer.outputs, layer.inputs,
                                   std::vector<double>(weight.begin(), weight.end()));
        const auto bias = f32(file.at(layer.bias_name()));
        values.bias.emplace_back(bias.begin(), bias.end());
    }
    return values;
}

DoubleMatrix forward(const NetworkShape& shape, const Values& values, DoubleMatrix x,
                     std::uint32_t purpose, bool training) {
    for (std::size_t l = 0; l < shape.layers.size(); ++l) {
        const LayerShape& layer = shape.layers[l];
        Epilogue epilogue{layer.activation,
                          layer.slope,
                          training ? layer.dropout : 0,
                          {seed, purpose + static_cast<std::uint32_t>(l), {}}};
        x = oracle::activate(oracle::linear(x, values.weight[l], values.bias[l]).value,
                             oracle::Epilogue(epilogue, 0));
    }
    return x;
}

// Mean of log(1 + exp(-l)): the generator's loss, as good as any.
double loss_of(const DoubleMatrix& logit) {
    double sum = 0;
    for (const double l : logit.values) {
        sum += std::log1p(std::exp(-l));
    }
    return sum / static_cast<double>(logit.values.size());
}

// Central difference of `loss` by `number`, and the gradient that was claimed for it.
template <class Loss>
void check(double& number, double claimed, const Loss& loss, const std::string& what) {
    const double before = number;
    number = before + step;
    const double above = loss();
    number = before - step;
    const double below = loss();
    number = before;
    const double measured = (above - below) / (2 * step);
    // float32 gradients: a few hundred roundings of 6e-8 on terms of order 0.1; kinks of ReLUs are
    // met with probability 1e-6 a unit and would show as a large error with this fixed seed.
    const double error = std::abs(measured - claimed);
    EXPECT_FALSE(!(error <= 2e-6 + 2e-5 * std::abs(measured)))
        << what << ": central difference " << measured << ", backward " << claimed << ", seed "
        << seed;
}

class NetworkGradient : public testing::BackendTest {
  protected:
    NetworkShape d_shape() const {
        return multilayer_perceptron(45, {33, 17}, 1, Activation::leaky_relu, 0.2f, true, 0.5f,
                                     Activation::identity);
    }
    NetworkShape g_shape() const {
        return multilayer_perceptron(7, {19, 31}, 45, Activation::relu, 0.2f, false, 0,
                                     Activation::tanh);
    }
    std::vector<float> random_input(std::int64_t size) const {
        std::mt19937 engine(seed);
        std::uniform_real_distribution<float> uniform(-1, 1);
        std::vector<float> input(static_cast<std::size_t>(size));
        for (float& value : input) {
            value = uniform(engine);
        }
        return input;
    }
    // d loss / d logit, on the device.
    void loss_gradient(Trace& pass, Matrix<float> logit, Vector<float> metrics) {
        backend().generator_loss(pass.output_gradient().flat(), metrics, logit.flat(),
                                 GanLoss::non_saturating);
    }
};

TEST_P(NetworkGradient, DiscriminatorAndItsInput) {
    Network network(backend(), d_shape());
    network.initialise(seed, 1);
    Trace pass(network, batch);
    const std::vector<float> host_input = random_input(batch * 45);
    DeviceArray<float> input(backend(), batch * 45);
    DeviceArray<float> d_input(backend(), batch * 45);
    DeviceArray<float> metrics(backend(), GeneratorMetrics::count);
    DeviceArray<float> gradients(backend(), network.all().value.size);
    input.upload(host_input.data(), batch * 45);
    constexpr std::uint32_t purpose = 500;
    const Matrix<float> logit = pass.forward(input.matrix(batch, 45), {true, seed, purpose, {}});
    loss_gradient(pass, logit, metrics.view());
    pass.backward_gradients(gradients.view(), false, d_input.matrix(batch, 45));
    std::vector<float> host_gradients(static_cast<std::size_t>(gradients.size()));
    gradients.download(host_gradients.data(), gradients.size());
    std::vector<float> host_d_input(host_input.size());
    d_input.download(host_d_input.data(), d_input.size());

    Values values = values_of(network);
    DoubleMatrix x(batch, 45, host_input);
    const auto loss = [&] { return loss_of(forward(network.shape(), values, x, purpose, true)); };
    const float* base = network.all().value.data;
    for (std::int64_t l = 0; l < network.layer_count(); ++l) {
        auto& weight = values.weight[static_cast<std::size_t>(l)].values;
        auto& bias = values.bias[static_cast<std::size_t>(l)];
        for (std::size_t e = 0; e < weight.size(); e += 1 + weight.size() / 60) {
            check(weight[e],
                  host_gradients[static_cast<std::size_t>(network.weight(l).data - base) + e], loss,
                  "weight " + std::to_string(e) + " of layer " + std::to_string(l));
        }
        for (std::size_t e = 0; e < bias.size(); ++e) {
            check(bias[e],
                  host_gradients[static_cast<std::size_t>(network.bias(l).data - base) + e], loss,
                  "bias " + std::to_string(e) + " of layer " + std::to_string(l));
        }
    }
    for (std::size_t e = 0; e < x.values.size(); ++e) {
        check(x.values[e], host_d_input[e], loss, "input " + std::to_string(e));
    }
}

TEST_P(NetworkGradient, GeneratorThroughDiscriminator) {
    Network d(backend(), d_shape());
    Network g(backend(), g_shape());
    d.initialise(seed, 1);
    g.initialise(seed, 0);
    Trace d_pass(d, batch);
    Trace g_pass(g, batch);
    const std::vector<float> host_latent = random_input(batch * 7);
    DeviceArray<float> latent(backend(), batch * 7);
    DeviceArray<float> metrics(backend(), GeneratorMetrics::count);
    DeviceArray<float> gradients(backend(), g.all().value.size);
    latent.upload(host_latent.data(), batch * 7);
    constexpr std::uint32_t purpose = 600;
    const Matrix<float> fakes = g_pass.forward(latent.matrix(batch, 7));
    const Matrix<float> logit = d_pass.forward(fakes, {true, seed, purpose, {}});
    loss_gradient(d_pass, logit, metrics.view());
    d_pass.backward_input(g_pass.output_gradient(), g_pass.epilogue(g.layer_count() - 1));
    g_pass.backward_gradients(gradients.view(), false);
    std::vector<float> host_gradients(static_cast<std::size_t>(gradients.size()));
    gradients.download(host_gradients.data(), gradients.size());

    Values g_values = values_of(g);
    const Values d_values = values_of(d);
    const DoubleMatrix z(batch, 7, host_latent);
    const auto loss = [&] {
        return loss_of(
            forward(d.shape(), d_values, forward(g.shape(), g_values, z, 0, false), purpose, true));
    };
    const float* base = g.all().value.data;
    for (std::int64_t l = 0; l < g.layer_count(); ++l) {
        auto& weight = g_values.weight[static_cast<std::size_t>(l)].values;
        for (std::size_t e = 0; e < weight.size(); e += 1 + weight.size() / 60) {
            check(weight[e], host_gradients[static_cast<std::size_t>(g.weight(l).data - base) + e],
                  loss, "weight " + std::to_string(e) + " of layer " + std::to_string(l));
        }
    }
}

// The gradient of summed losses is the sum of the gradients, as two backward passes give them.
TEST_P(NetworkGradient, AccumulatesOverPasses) {
    Network network(backend(), d_shape());
    network.initialise(seed, 1);
    Trace pass(network, batch);
    DeviceArray<float> input(backend(), batch * 45);
    DeviceArray<float> metrics(backend(), GeneratorMetrics::count);
    DeviceArray<float> once(backend(), network.all().value.size);
    DeviceArray<float> twice(backend(), network.all().value.size);
    input.upload(random_input(batch * 45).data(), batch * 45);
    for (int i = 0; i < 2; ++i) {
        const Matrix<float> logit = pass.forward(input.matrix(batch, 45));
        loss_gradient(pass, logit, metrics.view());
        pass.backward_gradients(twice.view(), i > 0);
        if (i == 0) {
            pass.backward_gradients(once.view(), false);
        }
    }
    std::vector<float> a(static_cast<std::size_t>(once.size()));
    std::vector<float> b(a.size());
    once.download(a.data(), once.size());
    twice.download(b.data(), twice.size());
    for (std::size_t e = 0; e < a.size(); ++e) {
        ASSERT_FALSE(!(std::abs(2 * a[e] - b[e]) <= 1e-6f)) << e;
    }
}

PATCHFORGE_ON_EVERY_BACKEND(NetworkGradient);

} // namespace
} // namespace patchforge
