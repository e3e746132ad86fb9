// Networks that are no chains of Linear layers: their values, gradients by parameters and input against
// central differences of a float64 forward pass, Adam, and the statistics of normalisation.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "host/network/trace.h"
#include "tests/host/network/network_oracle.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

using oracle::DoubleMatrix;
using testing::network_output;
using testing::NetworkValues;

constexpr std::uint64_t seed = 6071;

// The layers that issue the gradients' traps: each text is one way for values to meet and part.
const char* const chain = "2x8x8; conv 2>4 k3 p1 nobias norm=batch relu; pool max k2; "
                          "conv 4>3 k3 norm=instance leaky_relu; pool global; linear 3>2";
const char* const residual = "2x5x5; conv 2>3 k3 p1 tanh as=skip; conv 3>3 k3 p1 norm=batch relu; "
                             "conv 3>3 k3 p1; add skip relu; conv 3>1 k5";
const char* const u_net =
    "2x6x6; conv 2>3 k3 p1 leaky_relu as=fine; conv 3>4 k4 s2 p1 norm=batch relu; "
    "transposed 4>3 k4 s2 p1 relu; concat fine; conv 6>2 k3 p1 tanh; linear 72>1";
const char* const laid_out =
    "2x3x3; upsampled 2>4 crop norm=group:2 relu; depthwise k3 p1 tanh; bilinear; reflect 1; crop "
    "7; "
    "conv 4>8 k3 leaky_relu; shuffle 2; pool average k2; nearest; pad 1; linear 288>1";
const char* const parting =
    "2x4x4; conv 2>2 k3 p1 norm=batch tanh as=a; conv 2>2 k3 p1 from=a relu as=b; "
    "conv 2>2 k1 from=a as=c; add b; add a leaky_relu; concat input; concat c as=d; add d; "
    "conv 6>2 k4 as=e; concat e from=e; linear 4>1";

// A generator's block with what steers it, and a discriminator's with two heads.
const char* const steered =
    "6>12; view 3x2x2 norm=batch leaky_relu as=start; 6>6 from=input tanh as=style; "
    "upsampled 3>3 from=start nobias init=0.3 norm=batch noaffine; film style noise 0.05 "
    "leaky_relu "
    "as=block; 6>6 from=input as=other; film other from=block; noise tanh; conv 3>2 k3 p1; crop 3; "
    "linear 18>1";
// Rows are compared, of maps and of numbers; what that gives is read twice.
const char* const told_apart =
    "2x3x3; conv 2>2 k3 p1 norm=batch tanh as=maps; conv 2>2 k3 p1 tanh closeness=3x2 as=told; "
    "linear 21>4 tanh as=once; linear 18>4 from=maps closeness=2x2 as=again; linear 21>6 "
    "from=told; "
    "add again; concat once; 10>2";
const char* const headed =
    "2x6x6; conv 2>3 k3 p1 spectral leaky_relu; transposed 3>4 k3 s2 p1 o1 spectral tanh as=seen; "
    "conv 4>1 k1 spectral head as=patch; conv 4>3 k4 s2 p1 from=seen spectral leaky_relu; "
    "deviation 2; conv 4>2 k3 p1 spectral tanh as=last; conv 1>1 k12 from=patch as=more; "
    "linear 72>1 from=last spectral; add more";

// Codes around the mean of a class, fixed layers whose batches are normalised by their running statistics, and
// a class that is judged by its product with features.
const char* const conditional =
    "7x1x1; channels 5 2; linear 2>6 as=condition; channels 1 3 from=input tanh; augment condition "
    "leaky_relu as=code; channels 0 3 from=input; concat code; linear 6>12; view 3x2x2 norm=batch "
    "tanh fixed; conv 3>3 k3 p1 nobias norm=batch tanh fixed; upsampled 3>2 norm=batch tanh; "
    "linear "
    "32>4 tanh as=features; linear 4>1 as=judged; channels 5 2 from=input; linear 2>4 nobias "
    "as=class; dot class from=features; add judged";

class GraphTest : public testing::BackendTest {
  protected:
    static constexpr std::int64_t rows = 4;

    std::vector<float> random(std::int64_t size, std::uint64_t of = seed) const {
        std::mt19937_64 engine(of);
        std::uniform_real_distribution<float> uniform(-1, 1);
        std::vector<float> numbers(static_cast<std::size_t>(size));
        for (float& number : numbers) {
            number = uniform(engine);
        }
        return numbers;
    }
    static std::vector<float> download(const DeviceArray<float>& array) {
        std::vector<float> host(static_cast<std::size_t>(array.size()));
        array.download(host.data(), array.size());
        return host;
    }
    std::vector<float> download(Matrix<const float> matrix) {
        std::vector<float> host(static_cast<std::size_t>(matrix.size()));
        backend().download(host.data(), matrix.data, host.size() * sizeof(float));
        return host;
    }
    // Random numbers in every tensor, so that no scale is 1 and no shift 0; variances are positive.
    void randomise(Network& network) {
        TensorFile file = network.weights();
        for (std::size_t t = 0; t < file.tensors.size(); ++t) {
            const Tensor& old = file.tensors[t];
            std::vector<float> numbers =
                random(static_cast<std::int64_t>(f32(old).size()), seed + t);
            for (float& number : numbers) {
                number = old.name.ends_with("running_var") || old.shape.size() == 1
                             ? 0.75f + 0.5f * number
                             : 0.6f * number;
            }
            file.tensors[t] = make_f32(old.name, old.shape, numbers.data());
        }
        network.load_weights(file, "test");
    }

    // The loss is the sum of `weights` * outputs; the last layers have no activation. Another term of it may
    // stand on layer `start`.
    void check(const char* text, bool training, std::int64_t groups = 1, int start = -1) {
        const NetworkShape shape = network_shape_from_description(text);
        Network network(backend(), shape);
        randomise(network);
        const NetworkValues before = testing::values_of(network);
        Trace trace(network, rows + 1);
        const std::int64_t inputs = shape.inputs(), outputs = shape.outputs();
        const std::vector<float> host_input = random(rows * inputs, 11);
        const std::vector<float> weights = random(rows * outputs, 12);
        std::vector<int> heads = shape.heads();
        if (start >= 0) {
            trace.start_from(start);
            heads.insert(heads.begin(), start);
        }
        const auto weights_of = [&](int head) {
            return head == heads.back()
                       ? weights
                       : random(rows * shape.layers[static_cast<std::size_t>(head)].outputs,
                                100 + static_cast<std::uint64_t>(head));
        };
        const TensorFile beginning = network.weights();
        DeviceArray<float> input(backend(), rows * inputs), d_input(backend(), rows * inputs);
        DeviceArray<float> gradients(backend(), network.all().value.size);
        backend().fill(d_input.view(), NAN);
        input.upload(host_input.data(), input.size());
        const auto run = [&] {
            network.load_weights(beginning, "test"); // spectral vectors move on with every pass
            const Matrix<float> y =
                trace.forward(input.matrix(rows, inputs), {training, seed, 9, {}, groups});
            for (const int head : heads) {
                backend().upload(trace.gradient(head).data, weights_of(head).data(),
                                 weights_of(head).size() * sizeof(float));
            }
            return y;
        };
        const std::vector<float> y = download(run());
        if (training) {
            trace.backward_gradients(gradients.view(), false, d_input.matrix(rows, inputs));
        } else {
            trace.backward_input(d_input.matrix(rows, inputs));
        }
        NetworkValues values = training ? testing::values_of(network) : before;
        DoubleMatrix x(rows, inputs, host_input);
        const DoubleMatrix expected = network_output(shape, values, x, training, groups);
        for (std::size_t e = 0; e < y.size(); ++e) {
            ASSERT_FALSE(!(std::abs(expected.values[e] - double{y[e]}) <=
                           1e-5 + 1e-5 * std::abs(expected.values[e])))
                << "output " << e << ": " << y[e] << ", float64 " << expected.values[e];
        }
        const auto loss = [&] {
            const auto all = testing::layer_values(shape, values, x, training, groups);
            double sum = 0;
            for (const int head : heads) {
                const std::vector<float> of_head = weights_of(head);
                for (std::size_t e = 0; e < of_head.size(); ++e) {
                    sum += double{of_head[e]} * all[static_cast<std::size_t>(head)].values[e];
                }
            }
            return sum;
        };
        const auto compare = [&](std::vector<double>& numbers, const float* claimed,
                                 const std::string& what) {
            for (std::size_t e = 0; e < numbers.size(); e += 1 + numbers.size() / 20) {
                const double h = 1e-6, at = numbers[e];
                numbers[e] = at + h;
                const double above = loss();
                numbers[e] = at - h;
                const double below = loss();
                numbers[e] = at;
                const double measured = (above - below) / (2 * h);
                // float32 through up to a dozen layers; a kink would show as an error of order 1.
                EXPECT_FALSE(
                    !(std::abs(measured - double{claimed[e]}) <= 3e-5 + 1e-4 * std::abs(measured)))
                    << what << " " << e << ": difference " << measured << ", backward "
                    << claimed[e] << ", " << text << ", seed " << seed;
            }
        };
        compare(x.values, download(d_input).data(), "input");
        if (!training) {
            return;
        }
        const std::vector<float> host_gradients = download(gradients);
        // A training step asks for no gradient by the input: parameters have the same.
        DeviceArray<float> alone(backend(), gradients.size());
        backend().fill(alone.view(), NAN);
        run();
        trace.backward_gradients(alone.view(), false);
        const std::vector<float> host_alone = download(alone);
        const float* base = network.all().value.data;
        for (std::int64_t l = 0; l < network.layer_count(); ++l) {
            const LayerShape& layer = shape.layers[static_cast<std::size_t>(l)];
            const auto tensor = [&](const std::string& name, const float* place) {
                const auto at = place - base;
                std::vector<double>& numbers = values.at(name);
                compare(numbers, host_gradients.data() + at, name);
                EXPECT_TRUE(std::equal(host_gradients.begin() + at,
                                       host_gradients.begin() + at + std::ssize(numbers),
                                       host_alone.begin() + at))
                    << name << " without a gradient by the input, " << text;
            };
            if (!layer.trained) {
                continue;
            }
            if (layer.has_weights()) {
                tensor(layer.weight_name(), network.weight(l).data);
                if (layer.bias) {
                    tensor(layer.bias_name(), network.bias(l).data);
                }
            }
            if (!network.scale(l).empty()) {
                tensor(layer.normalisation_name("weight"), network.scale(l).data);
                tensor(layer.normalisation_name("bias"), network.shift(l).data);
            }
        }
        // The attack's way back, through another pass, gives the same numbers.
        const std::vector<float> once = download(d_input);
        backend().fill(d_input.view(), NAN);
        run();
        trace.backward_input(d_input.matrix(rows, inputs));
        EXPECT_EQ(once, download(d_input));
    }

    // Adam on the way back against gradients in memory followed by Adam: the same bits.
    void check_adam(const char* text, std::int64_t groups = 1) {
        const NetworkShape shape = network_shape_from_description(text);
        Network fused(backend(), shape), apart(backend(), shape);
        randomise(fused);
        randomise(apart);
        Trace first(fused, rows), second(apart, rows);
        DeviceArray<float> input(backend(), rows * shape.inputs());
        DeviceArray<float> gradients(backend(), apart.all().value.size);
        DeviceArray<std::uint64_t> step(backend(), 1);
        const std::vector<float> weights = random(rows * shape.outputs(), 12);
        for (std::uint64_t count = 0; count < 2; ++count) {
            input.upload(random(rows * shape.inputs(), 20 + count).data(), input.size());
            step.upload(&count, 1);
            Adam adam;
            adam.learning_rate = 0.01f;
            adam.step = {step.data(), 1, 0};
            for (Trace* trace : {&first, &second}) {
                trace->forward(input.matrix(rows, shape.inputs()), {true, seed, 9, {}, groups});
                for (const int head : shape.heads()) {
                    backend().fill(trace->gradient(head).flat(), 0.25f);
                }
                backend().upload(trace->output_gradient().data, weights.data(),
                                 weights.size() * sizeof(float));
            }
            first.backward_update(fused, adam);
            second.backward_gradients(gradients.view(), false);
            backend().adam(apart.all(), gradients.view(), adam);
            const NetworkValues a = testing::values_of(fused), b = testing::values_of(apart);
            for (const auto& [name, numbers] : a) {
                for (std::size_t e = 0; e < numbers.size(); ++e) {
                    ASSERT_EQ(numbers[e], b.at(name)[e])
                        << name << " " << e << " after step " << count + 1 << ", " << text;
                }
            }
        }
    }
};

TEST_P(GraphTest, Chain) {
    check(chain, true);
}
TEST_P(GraphTest, ChainOfTwoGroups) {
    check(chain, true, 2);
}
TEST_P(GraphTest, ChainInEvaluation) {
    check(chain, false);
}
TEST_P(GraphTest, Residual) {
    check(residual, true);
    check(residual, false);
}
TEST_P(GraphTest, Conditional) {
    check(conditional, true);
    check(conditional, false);
    check(conditional, true, 1, 1);
    check(conditional, false, 1, 1);
}
// A step changes nothing of a fixed layer, its statistics included.
TEST_P(GraphTest, FixedLayersStay) {
    Network network(backend(), network_shape_from_description(conditional));
    randomise(network);
    const NetworkValues before = testing::values_of(network);
    Trace trace(network, rows);
    DeviceArray<float> input(backend(), rows * 7), gradients(backend(), network.all().value.size);
    input.upload(random(rows * 7).data(), rows * 7);
    trace.forward(input.matrix(rows, 7), {true, seed, 9, {}, 1});
    backend().fill(trace.output_gradient().flat(), 1);
    trace.backward_gradients(gradients.view(), false);
    DeviceArray<std::uint64_t> step(backend(), 1);
    Adam adam;
    adam.step = {step.data(), 1, 0};
    backend().adam(network.all(), gradients.view(), adam);
    const NetworkValues after = testing::values_of(network);
    std::size_t fixed = 0;
    for (const LayerShape& layer : network.shape().layers) {
        for (const std::string& name :
             {layer.weight_name(), layer.normalisation_name("weight"),
              layer.normalisation_name("bias"), layer.normalisation_name("running_mean"),
              layer.normalisation_name("running_var")}) {
            if (!layer.trained && before.contains(name)) {
                EXPECT_EQ(before.at(name), after.at(name)) << name;
                ++fixed;
            }
        }
    }
    EXPECT_EQ(fixed, 9U); // a view and a convolution, both normalised
    EXPECT_NE(before, after);
}
TEST_P(GraphTest, UNet) {
    check(u_net, true);
    check(u_net, false);
}
TEST_P(GraphTest, LaidOutAnew) {
    check(laid_out, true);
}
TEST_P(GraphTest, ValuesThatSeveralLayersRead) {
    check(parting, true);
    check(parting, false);
}
TEST_P(GraphTest, SteeredMapsWithNoise) {
    check(steered, true);
    check(steered, true, 2);
    check(steered, false);
}
TEST_P(GraphTest, SpectralNormalisationDeviationAndHeads) {
    check(headed, true);
    check(headed, true, 2);
    check(headed, false);
}
TEST_P(GraphTest, Compared) {
    check(told_apart, true);
    check(told_apart, true, 2);
    check(told_apart, false);
}

// A picture's noise is a function of its number, whatever it is made beside.
TEST_P(GraphTest, NoiseOfAPictureIsItsOwn) {
    const NetworkShape shape = network_shape_from_description(steered);
    Network network(backend(), shape);
    randomise(network);
    Trace trace(network, rows);
    DeviceArray<float> input(backend(), rows * 6);
    input.upload(random(rows * 6, 11).data(), input.size());
    DropoutSource evaluation;
    evaluation.picture_seed = seed;
    evaluation.picture.offset = 5;
    const std::vector<float> together = download(trace.forward(input.matrix(rows, 6), evaluation));
    evaluation.picture.offset = 7;
    EXPECT_EQ(download(trace.forward(input.matrix(rows, 6).row_range(2, 1), evaluation)).front(),
              together[2]);
    evaluation.picture_seed = seed + 1;
    EXPECT_NE(download(trace.forward(input.matrix(rows, 6).row_range(2, 1), evaluation)).front(),
              together[2]);
}

// Power iteration belongs to training passes, one each; its vectors are in the file.
TEST_P(GraphTest, SpectralVectorsAreState) {
    const NetworkShape shape = network_shape_from_description("6>4 spectral relu; 4>2 spectral");
    Network network(backend(), shape), again(backend(), shape);
    network.initialise(seed, 0);
    again.load_weights(network.weights(), "test");
    Trace trace(network, rows), other(again, rows);
    DeviceArray<float> input(backend(), rows * 6);
    input.upload(random(rows * 6, 11).data(), input.size());
    const NetworkValues before = testing::values_of(network);
    trace.forward(input.matrix(rows, 6));
    EXPECT_EQ(testing::values_of(network), before);
    trace.forward(input.matrix(rows, 6), {true, seed, 9, {}, 1});
    const oracle::Spectral once = oracle::spectral_normalise(
        before.at("0.weight"), before.at("0.weight_u"), before.at("0.weight_v"), {1, 4, 6}, 1);
    for (std::size_t e = 0; e < 4; ++e) {
        EXPECT_FALSE(
            !(std::abs(testing::values_of(network).at("0.weight_u")[e] - once.u[e]) <= 1e-6));
    }
    again.load_weights(network.weights(), "test");
    EXPECT_EQ(download(trace.forward(input.matrix(rows, 6))),
              download(other.forward(input.matrix(rows, 6))));
}

TEST_P(GraphTest, FlatValuesInEvaluation) {
    check("6>5 norm=batch relu; 5>4 leaky_relu; 4>2", false);
}

// Every kind of weights, with and without a bias of their own and scale and shift of the normalisation.
TEST_P(GraphTest, RunningStatisticsFoldedIntoWeights) {
    check("2x5x6; conv 2>3 k3 p1 norm=batch relu; transposed 3>4 k4 s2 p1 nobias norm=batch "
          "leaky_relu; depthwise k3 s2 p1 norm=batch noaffine; upsampled 4>2 norm=batch tanh; "
          "conv 2>2 k3 spectral nobias norm=batch relu; linear 160>2",
          false);
}

TEST_P(GraphTest, AdamFusedWithTheWayBack) {
    check_adam("2x6x6; conv 2>4 k3 p1 relu; pool max k2; conv 4>3 k3 tanh; linear 3>2");
    check_adam("2x6x6; conv 2>3 k3 p1 leaky_relu as=skip; conv 3>3 k3 p1 tanh; add skip relu; "
               "conv 3>2 k4 s2 p1 fixed; linear 18>2");
    // Normalised by channels and by columns, in groups, divided by singular values, steered, compared.
    for (const char* text : {chain, residual, u_net, laid_out, steered, headed, conditional,
                             told_apart, "18>70 norm=batch relu; 70>65 norm=batch fixed; 65>2"}) {
        check_adam(text);
        check_adam(text, 2);
    }
}

// nn.BatchNorm2d: 0.9 running + 0.1 batch, the variance unbiased, one group after the other.
TEST_P(GraphTest, RunningStatisticsOfTwoGroups) {
    const NetworkShape shape = network_shape_from_description("2x3x3; conv 2>3 k2 norm=batch relu");
    Network network(backend(), shape);
    randomise(network);
    NetworkValues values = testing::values_of(network);
    Trace trace(network, rows);
    DeviceArray<float> input(backend(), rows * 18);
    const std::vector<float> host = random(rows * 18, 11);
    input.upload(host.data(), input.size());
    trace.forward(input.matrix(rows, 18), {true, seed, 9, {}, 2});
    const DoubleMatrix z =
        testing::layer_value(shape.layers[0], shape.in, {DoubleMatrix(rows, 18, host)}, values);
    const MapSets sets{shape.layers[0].out(), rows / 2, 1};
    const oracle::RunningStatistics expected =
        oracle::updated({values.at("1.running_mean"), values.at("1.running_var")},
                        oracle::normalise_maps(z, sets, {}, {}), sets);
    const NetworkValues after = testing::values_of(network);
    for (std::size_t c = 0; c < 3; ++c) {
        EXPECT_NEAR(after.at("1.running_mean")[c], expected.mean[c], 1e-6);
        EXPECT_NEAR(after.at("1.running_var")[c], expected.variance[c], 1e-6);
    }
    // Evaluation leaves them as they are.
    trace.forward(input.matrix(rows, 18));
    EXPECT_EQ(after, testing::values_of(network));
}

TEST_P(GraphTest, EvaluationOfARowKnowsNothingOfOthers) {
    for (const char* text : {chain, residual, u_net, laid_out, parting}) {
        const NetworkShape shape = network_shape_from_description(text);
        Network network(backend(), shape);
        randomise(network);
        Trace trace(network, rows);
        const std::int64_t inputs = shape.inputs(), outputs = shape.outputs();
        DeviceArray<float> input(backend(), rows * inputs);
        input.upload(random(rows * inputs, 11).data(), input.size());
        const std::vector<float> together = download(trace.forward(input.matrix(rows, inputs)));
        for (std::int64_t row = 0; row < rows; ++row) {
            const std::vector<float> alone =
                download(trace.forward(input.matrix(rows, inputs).row_range(row, 1)));
            EXPECT_EQ(alone, std::vector<float>(together.begin() + row * outputs,
                                                together.begin() + (row + 1) * outputs))
                << "row " << row << ", " << text;
        }
    }
}

// Gradients of scale and shift exist for the statistics of a batch alone.
TEST_P(GraphTest, ParametersHaveNoGradientInEvaluation) {
    const NetworkShape shape = network_shape_from_description("2x3x3; conv 2>3 k2 norm=batch relu");
    Network network(backend(), shape);
    network.initialise(seed, 0);
    Trace trace(network, rows);
    DeviceArray<float> input(backend(), rows * 18);
    DeviceArray<float> gradients(backend(), network.all().value.size);
    backend().fill(input.view(), 0.5f);
    trace.forward(input.matrix(rows, 18));
    backend().fill(trace.output_gradient().flat(), 1);
    EXPECT_THROW(trace.backward_gradients(gradients.view(), false), std::logic_error);
}

PATCHFORGE_ON_EVERY_BACKEND(GraphTest);

} // namespace
} // namespace patchforge
