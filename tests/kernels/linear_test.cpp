// Fully connected layers against the oracle, at sizes around every tile, warp and vector width, in
// every precision: the oracle rounds the operands of its products as the backend should, so that
// the tolerance is that of float32 sums in all of them.
#include "kernels/operations/linear_shards.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/rounding.h"

namespace patchforge::testing {
namespace {

struct LinearShape {
    std::int64_t batch, inputs, outputs;
};

// Batches and widths as ragged as they come, and the layers of the network itself.
const std::vector<LinearShape> linear_shapes{
    {1, 1, 1},
    {2, 31, 33},
    {3, 33, 2},
    {7, 64, 31},
    {8, 255, 64},
    {9, 257, 65},
    {10, 256, 256},
    {31, 2, 257},
    {33, 31, 255},
    {64, 64, 64},
    {100, 33, 31},
    {129, 65, 33},
    {200, 31, 2},
    {1, 7499, 33},
    {3, 7500, 31},
    {2, 33, 7499},
    {10, 1, 256},
    {10, 256, 1},
    {33, 257, 128},
    {128, 63, 129},
    {1, 64, 256},
    {1, 7500, 256},
    {10, 7500, 68},
    {10, 68, 7500},
    // Each of the CUDA backend's kernels for few rows, and its large tiles.
    {4, 68, 40},
    {16, 132, 36},
    {17, 64, 300},
    {24, 260, 44},
    {25, 516, 32},
    {32, 1028, 12},
    {132, 20, 1028},
    {132, 1028, 20},
    {516, 388, 400},
    // The heights of its tensor-core tiles, with ragged widths and sums that are split.
    {13, 516, 132},
    {30, 260, 68},
    {48, 1028, 76},
};

class LinearTest : public BackendTest {
  protected:
    // Calls test(shape, epilogue, shift, seed) for every shape, with epilogues and alignments
    // taking turns. The network's layers start at a boundary, as its arrays do. Other precisions
    // than float32 leave out what they do not change. The shape that has a kernel of its own in
    // weight gradients alone, as large as half of all others, comes where `weight_gradient` says so.
    template <class Test>
    void for_each_case(Test test, bool weight_gradient = false) {
        for (std::size_t n = 0; n < linear_shapes.size(); ++n) {
            if ((precision() != Precision::float32 && linear_shapes[n].batch < rounded_from_rows) ||
                (linear_shapes[n].batch > 512 && !weight_gradient)) {
                continue;
            }
            const NamedEpilogue& epilogue = every_epilogue()[n % every_epilogue().size()];
            const int shift =
                linear_shapes[n].batch * linear_shapes[n].inputs * linear_shapes[n].outputs <
                        400'000
                    ? n % 3
                    : 0;
            const std::uint64_t seed = 1000 + 10 * n;
            const auto [batch, inputs, outputs] = linear_shapes[n];
            SCOPED_TRACE(describe("batch", batch, "inputs", inputs, "outputs", outputs, "epilogue",
                                  epilogue.name, "shift", shift, "seed", seed));
            test(linear_shapes[n], epilogue, shift, seed);
        }
    }

    // An operand of a product of `batch` rows.
    static oracle::DoubleMatrix operand(std::int64_t batch, const oracle::DoubleMatrix& exact) {
        return oracle::rounded(exact, precision(), batch);
    }

    static std::vector<float> weights(std::uint64_t seed, std::int64_t outputs,
                                      std::int64_t inputs) {
        const float limit = 3 / std::sqrt(static_cast<float>(inputs));
        return random_values(seed, outputs * inputs, -limit, limit);
    }

    // The input of a layer as the epilogue of the layer before leaves it: with zeros, with kinks.
    static std::vector<float> layer_input(std::uint64_t seed, std::int64_t batch,
                                          std::int64_t inputs, const oracle::Epilogue& previous) {
        std::vector<float> z = random_values(seed, batch * inputs, -2, 2);
        for (std::size_t e = 0; e < z.size(); e += 5) {
            z[e] = 0;
        }
        return oracle::to_float(
            oracle::activate(oracle::DoubleMatrix(batch, inputs, z), previous).values);
    }

    // Both after one step along gradients that are sums of `terms` products; a bias of no numbers is none.
    void expect_steps(TensorUnderAdam& weight, const oracle::Products& of_weight,
                      TensorUnderAdam& bias, const oracle::Products& of_bias, std::int64_t terms,
                      const Adam& adam, const DeviceStep& step) {
        weight.expect_step(of_weight, terms, adam, step.value(), precision());
        weight.compare(of_weight.value.columns, "weight");
        if (bias.tensor().value.size > 0) {
            bias.expect_step(of_bias, terms, adam, step.value());
            bias.compare(of_bias.value.columns, "bias");
        }
    }
};
PATCHFORGE_ON_EVERY_BACKEND(LinearTest);
PATCHFORGE_IN_EVERY_PRECISION(LinearTest);

TEST_P(LinearTest, Forward) {
    for_each_case(
        [&](LinearShape shape, const NamedEpilogue& named, int shift, std::uint64_t seed) {
            const auto [batch, inputs, outputs] = shape;
            const auto x = random_values(seed, batch * inputs);
            const auto weight = weights(seed + 1, outputs, inputs);
            const auto bias = random_values(seed + 2, seed % 20 ? outputs : 0);
            const DeviceStep step(backend(), 41, 3, 1);
            const oracle::Epilogue epilogue(named.at(step), step.value());

            const auto y = GuardedArray<float>::output(backend(), batch * outputs, shift);
            const auto x_on_device = GuardedArray<float>::input(backend(), x, shift);
            const auto weight_on_device = GuardedArray<float>::input(backend(), weight, shift);
            const auto bias_on_device = GuardedArray<float>::input(backend(), bias, shift);
            backend().linear_forward(y.matrix(batch, outputs), x_on_device.matrix(batch, inputs),
                                     weight_on_device.matrix(outputs, inputs),
                                     bias_on_device.view(), named.at(step));

            const oracle::Products z =
                oracle::linear(operand(batch, {batch, inputs, x}),
                               operand(batch, {outputs, inputs, weight}), oracle::to_double(bias));
            const oracle::DoubleMatrix expected = oracle::activate(z.value, epilogue);
            std::vector<double> tolerance;
            for (std::size_t e = 0; e < expected.values.size(); ++e) {
                tolerance.push_back(epilogue_bound(
                    z.value.values[e], sum_bound(inputs + 1, z.magnitude.values[e], precision()),
                    expected.values[e], named.dropout));
                if (!epilogue.keeps(e)) {
                    tolerance.back() = 0;
                }
            }
            expect_close(y.values(), expected.values, tolerance, outputs, "y");
        });
}

struct InputGradient {
    std::vector<double> value, tolerance;
};

InputGradient expected_input_gradient(const oracle::DoubleMatrix& dz,
                                      const oracle::DoubleMatrix& weight,
                                      const std::vector<float>& x, const oracle::Epilogue& previous,
                                      Precision precision) {
    const oracle::Products product = oracle::linear_input_gradient(dz, weight);
    InputGradient expected;
    for (std::size_t e = 0; e < product.value.values.size(); ++e) {
        const double d = product.value.values[e];
        const double y = x.empty() ? 0 : x[e];
        expected.value.push_back(d * previous.derivative(y, e));
        expected.tolerance.push_back(derivative_bound(
            d, sum_bound(weight.rows, product.magnitude.values[e], precision), previous, y, e));
    }
    return expected;
}

TEST_P(LinearTest, InputGradient) {
    for_each_case(
        [&](LinearShape shape, const NamedEpilogue& named, int shift, std::uint64_t seed) {
            const auto [batch, inputs, outputs] = shape;
            const DeviceStep step(backend(), 41, 3, 1);
            const oracle::Epilogue previous(named.at(step), step.value());
            const auto dz = random_values(seed, batch * outputs);
            const auto weight = weights(seed + 1, outputs, inputs);
            const bool reads_x = !named.at(step).is_identity();
            const auto x =
                reads_x ? layer_input(seed + 2, batch, inputs, previous) : std::vector<float>();

            const auto dx = GuardedArray<float>::output(backend(), batch * inputs, shift);
            const auto dz_on_device = GuardedArray<float>::input(backend(), dz, shift);
            const auto weight_on_device = GuardedArray<float>::input(backend(), weight, shift);
            const auto x_on_device = GuardedArray<float>::input(backend(), x, shift);
            const Matrix<const float> x_view =
                reads_x ? x_on_device.matrix(batch, inputs) : Matrix<float>{};
            backend().linear_input_gradient(
                dx.matrix(batch, inputs), dz_on_device.matrix(batch, outputs),
                weight_on_device.matrix(outputs, inputs), x_view, named.at(step));

            const InputGradient expected = expected_input_gradient(
                operand(batch, {batch, outputs, dz}), operand(batch, {outputs, inputs, weight}), x,
                previous, precision());
            expect_close(dx.values(), expected.value, expected.tolerance, inputs, "dx");
        });
}

TEST_P(LinearTest, WeightGradient) {
    for_each_case(
        [&](LinearShape shape, const NamedEpilogue&, int shift, std::uint64_t seed) {
            const auto [batch, inputs, outputs] = shape;
            const bool accumulate = seed % 20 != 0;
            const auto dz = random_values(seed, batch * outputs);
            const auto x = random_values(seed + 1, batch * inputs);
            const auto weight_before = random_values(seed + 2, outputs * inputs);
            const auto bias_before = random_values(seed + 3, seed % 30 ? outputs : 0);

            const auto start = [&](const std::vector<float>& before) {
                return accumulate ? GuardedArray<float>::changing(backend(), before, shift)
                                  : GuardedArray<float>::output(
                                        backend(), static_cast<std::int64_t>(before.size()), shift);
            };
            const auto d_weight = start(weight_before);
            const auto d_bias = start(bias_before);
            const auto dz_on_device = GuardedArray<float>::input(backend(), dz, shift);
            const auto x_on_device = GuardedArray<float>::input(backend(), x, shift);
            backend().linear_weight_gradient(d_weight.matrix(outputs, inputs), d_bias.view(),
                                             dz_on_device.matrix(batch, outputs),
                                             x_on_device.matrix(batch, inputs), accumulate);

            const auto compare = [&](oracle::Products expected, const std::vector<float>& before,
                                     const GuardedArray<float>& actual, const char* what) {
                std::vector<double> tolerance;
                for (std::size_t e = 0; e < before.size(); ++e) {
                    if (accumulate) {
                        expected.add(static_cast<std::int64_t>(e) / expected.value.columns,
                                     static_cast<std::int64_t>(e) % expected.value.columns,
                                     before[e]);
                    }
                    tolerance.push_back(
                        sum_bound(batch + 1, expected.magnitude.values[e], precision()));
                }
                expect_close(actual.values(), expected.value.values, tolerance,
                             expected.value.columns, what);
            };
            const oracle::DoubleMatrix dz_exact(batch, outputs, dz);
            compare(oracle::linear_weight_gradient(operand(batch, dz_exact),
                                                   operand(batch, {batch, inputs, x})),
                    weight_before, d_weight, "d_weight");
            if (!bias_before.empty()) {
                compare(oracle::linear_bias_gradient(dz_exact), bias_before, d_bias, "d_bias");
            }
        },
        true);
}

Adam ordinary_adam(const DeviceStep& step) {
    return {.learning_rate = 0.01f, .beta1 = 0.5f, .step = step.count(), .clip = 0.9f};
}

TEST_P(LinearTest, WeightGradientAdam) {
    for_each_case(
        [&](LinearShape shape, const NamedEpilogue&, int shift, std::uint64_t seed) {
            const auto [batch, inputs, outputs] = shape;
            const DeviceStep step(backend(), 2, 2, 1);
            const auto dz = random_values(seed, batch * outputs);
            const auto x = random_values(seed + 1, batch * inputs);
            TensorUnderAdam weight(backend(), seed + 2, outputs * inputs, shift);
            const bool has_bias = seed % 30 != 0;
            TensorUnderAdam bias(backend(), seed + 5, has_bias ? outputs : 0, shift);

            const auto dz_on_device = GuardedArray<float>::input(backend(), dz, shift);
            const auto x_on_device = GuardedArray<float>::input(backend(), x, shift);
            const Adam adam = ordinary_adam(step);
            backend().linear_weight_gradient_adam(weight.tensor(), bias.tensor(),
                                                  dz_on_device.matrix(batch, outputs),
                                                  x_on_device.matrix(batch, inputs), adam);

            const oracle::DoubleMatrix dz_exact(batch, outputs, dz);
            expect_steps(weight,
                         oracle::linear_weight_gradient(operand(batch, dz_exact),
                                                        operand(batch, {batch, inputs, x})),
                         bias, oracle::linear_bias_gradient(dz_exact), batch, adam, step);
        },
        true);
}

TEST_P(LinearTest, ShardsAdam) {
    auto* const operations = dynamic_cast<LinearShardOperations*>(&backend());
    if (!operations || precision() != Precision::float32) {
        GTEST_SKIP() << "of CPUs, and shown in float32";
    }
    for_each_case([&](LinearShape shape, const NamedEpilogue&, int shift, std::uint64_t seed) {
        const auto [batch, inputs, outputs] = shape;
        if (batch * inputs * outputs > 3'000'000) {
            return; // blocks and tiles are all met
        }
        const DeviceStep step(backend(), 2, 2, 1);
        const auto dz = random_values(seed, batch * outputs);
        const auto x = random_values(seed + 1, batch * inputs);
        const auto dz_on_device = GuardedArray<float>::input(backend(), dz, shift);
        const auto x_on_device = GuardedArray<float>::input(backend(), x, shift);
        const Adam adam = ordinary_adam(step);
        const bool has_bias = seed % 30 != 0;
        const float decay = seed % 20 == 0 ? 0.125f : 0;

        // Shards of as many rows, but for the last one.
        const std::int64_t rows = (batch + seed / 10 % 7) / (1 + seed / 10 % 7);
        std::vector<LinearShard> shards;
        oracle::DoubleMatrix shared_dz(batch, outputs, dz);
        for (std::int64_t first = 0; first < batch; first += rows) {
            const std::int64_t count = std::min(rows, batch - first);
            const float share = static_cast<float>(count) / static_cast<float>(batch);
            shards.push_back({{dz_on_device.view().data + first * outputs, count, outputs},
                              {x_on_device.view().data + first * inputs, count, inputs},
                              share});
            for (std::int64_t e = first * outputs; e < (first + count) * outputs; ++e) {
                shared_dz.values[static_cast<std::size_t>(e)] *= share;
            }
        }
        const auto weight_gradient = oracle::linear_weight_gradient(shared_dz, {batch, inputs, x});
        const auto bias_gradient = oracle::linear_bias_gradient(shared_dz);
        std::vector<std::vector<float>> all;
        for (const int pieces : {1, 3}) {
            TensorUnderAdam weight(backend(), seed + 2, outputs * inputs, shift);
            TensorUnderAdam bias(backend(), seed + 5, has_bias ? outputs : 0, shift);
            auto of_weight = weight_gradient;
            auto of_bias = bias_gradient;
            const auto add_decay = [&](oracle::Products& gradient, const TensorUnderAdam& tensor) {
                const auto before =
                    tensor.expected_weight(gradient.value.rows, gradient.value.columns);
                for (std::size_t e = 0; e < before.values.size(); ++e) {
                    gradient.value.values[e] += decay * before.values[e];
                    gradient.magnitude.values[e] += std::abs(decay * before.values[e]);
                }
            };
            add_decay(of_weight, weight);
            add_decay(of_bias, bias);
            for (int piece = 0; piece < pieces; ++piece) {
                operations->linear_shards_adam(weight.tensor(), bias.tensor(), shards, decay,
                                               {piece, pieces}, adam);
            }
            // A product with a share, sums of the tree and the decay round, too.
            const std::int64_t terms = batch + 8;
            expect_steps(weight, of_weight, bias, of_bias, terms, adam, step);
            std::vector<float> bits;
            for (const AdamTensor& tensor : {weight.tensor(), bias.tensor()}) {
                for (const Vector<float>& part :
                     {tensor.value, tensor.first_moment, tensor.second_moment}) {
                    bits.insert(bits.end(), part.data, part.data + part.size);
                }
            }
            all.push_back(std::move(bits));
        }
        EXPECT_EQ(all[0], all[1]) << "in one piece and in three";
    });
}

TEST_P(LinearTest, BackwardAdam) {
    for_each_case(
        [&](LinearShape shape, const NamedEpilogue& named, int shift, std::uint64_t seed) {
            const auto [batch, inputs, outputs] = shape;
            const DeviceStep step(backend(), 2, 2, 1);
            const oracle::Epilogue previous(named.at(step), step.value());
            const auto dz = random_values(seed, batch * outputs);
            const auto x = layer_input(seed + 1, batch, inputs, previous);
            TensorUnderAdam weight(backend(), seed + 2, outputs * inputs, shift);
            const bool has_bias = seed % 30 != 0;
            TensorUnderAdam bias(backend(), seed + 5, has_bias ? outputs : 0, shift);

            const auto dx = GuardedArray<float>::output(backend(), batch * inputs, shift);
            const auto dz_on_device = GuardedArray<float>::input(backend(), dz, shift);
            const auto x_on_device = GuardedArray<float>::input(backend(), x, shift);
            const Adam adam = ordinary_adam(step);
            backend().linear_backward_adam(dx.matrix(batch, inputs), weight.tensor(), bias.tensor(),
                                           dz_on_device.matrix(batch, outputs),
                                           x_on_device.matrix(batch, inputs), named.at(step), adam);

            const oracle::DoubleMatrix dz_exact(batch, outputs, dz);
            const InputGradient expected = expected_input_gradient(
                operand(batch, dz_exact), operand(batch, weight.expected_weight(outputs, inputs)),
                x, previous, precision());
            expect_close(dx.values(), expected.value, expected.tolerance, inputs, "dx");
            expect_steps(weight,
                         oracle::linear_weight_gradient(operand(batch, dz_exact),
                                                        operand(batch, {batch, inputs, x})),
                         bias, oracle::linear_bias_gradient(dz_exact), batch, adam, step);
        });
}

// The mask that the backward pass draws is the one the forward pass drew.
TEST_P(LinearTest, BackwardRecomputesTheForwardMask) {
    const std::int64_t batch = 9, width = 257;
    const DeviceStep step(backend(), 5, 4, 3);
    const NamedEpilogue dropout{"dropout", Activation::identity, 0, 0.5f};
    const auto x = GuardedArray<float>::output(backend(), batch * width);
    const auto ones = GuardedArray<float>::input(backend(), std::vector<float>(batch * width, 1));
    backend().activate(x.matrix(batch, width), ones.matrix(batch, width), dropout.at(step));

    const auto dz = GuardedArray<float>::input(backend(), std::vector<float>(batch, 1));
    const auto weight = GuardedArray<float>::input(backend(), std::vector<float>(width, 1));
    const auto dx = GuardedArray<float>::output(backend(), batch * width);
    backend().linear_input_gradient(dx.matrix(batch, width), dz.matrix(batch, 1),
                                    weight.matrix(1, width), x.matrix(batch, width),
                                    dropout.at(step));
    EXPECT_EQ(dx.values(), x.values());
}

// A product of one number by another, alone in its sum, shows the rounding of both: its 22 bits at
// most are exact in float32. Ties, their neighbours, and numbers that need no rounding.
TEST_P(LinearTest, RoundsBothOperandsFromNineRowsOn) {
    const std::vector<float> telling{
        1,           1 + 0x1p-11f, 1 + 0x1.8p-10f, -1 - 0x1p-11f,  1 + 0x1.ffep-12f,
        1 + 0x1p-8f, 1.5f,         1 + 0x1.8p-7f,  1 + 0x1.02p-8f, 1 - 0x1p-10f,
        -1.99999f,   1 / 3.f,      -0x1p-60f,      1e30f,          0,
        0x1.fep3f};
    const auto count = static_cast<std::int64_t>(telling.size());
    for (const std::int64_t batch : {std::int64_t{8}, rounded_from_rows, count}) {
        SCOPED_TRACE(describe("batch", batch));
        const std::vector<float> rows(telling.begin(), telling.begin() + batch);
        const auto product = [&](const std::vector<float>& left, const std::vector<float>& right) {
            std::vector<float> all;
            for (const double l : operand(batch, {batch, 1, left}).values) {
                for (const double r : operand(batch, {count, 1, right}).values) {
                    all.push_back(static_cast<float>(l * r));
                }
            }
            return all;
        };
        const auto left = GuardedArray<float>::input(backend(), rows);
        const auto right = GuardedArray<float>::input(backend(), telling);

        const auto y = GuardedArray<float>::output(backend(), batch * count);
        backend().linear_forward(y.matrix(batch, count), left.matrix(batch, 1),
                                 right.matrix(count, 1), {}, {});
        EXPECT_EQ(y.values(), product(rows, telling));

        const auto dx = GuardedArray<float>::output(backend(), batch * count);
        backend().linear_input_gradient(dx.matrix(batch, count), left.matrix(batch, 1),
                                        right.matrix(1, count), {}, {});
        EXPECT_EQ(dx.values(), product(rows, telling));

        // One row of the batch holds something; the bias's gradient is not rounded.
        std::vector<float> dz(static_cast<std::size_t>(batch * batch)),
            x(static_cast<std::size_t>(batch * count));
        std::copy(rows.begin(), rows.end(), dz.begin());
        std::copy(telling.begin(), telling.end(), x.begin());
        const auto dz_on_device = GuardedArray<float>::input(backend(), dz);
        const auto x_on_device = GuardedArray<float>::input(backend(), x);
        const auto d_weight = GuardedArray<float>::output(backend(), batch * count);
        const auto d_bias = GuardedArray<float>::output(backend(), batch);
        backend().linear_weight_gradient(d_weight.matrix(batch, count), d_bias.view(),
                                         dz_on_device.matrix(batch, batch),
                                         x_on_device.matrix(batch, count), false);
        EXPECT_EQ(d_weight.values(), product(rows, telling));
        EXPECT_EQ(d_bias.values(), rows);
    }
}

// Against products of the unrounded operands: a term may be off by the rounding of both.
TEST_P(LinearTest, StaysWithinThePrecision) {
    const std::int64_t batch = 40, inputs = 300, outputs = 132;
    const auto x = random_values(1, batch * inputs);
    const auto dz = random_values(2, batch * outputs);
    const auto weight = weights(3, outputs, inputs);
    const auto x_on_device = GuardedArray<float>::input(backend(), x);
    const auto dz_on_device = GuardedArray<float>::input(backend(), dz);
    const auto weight_on_device = GuardedArray<float>::input(backend(), weight);
    const auto y = GuardedArray<float>::output(backend(), batch * outputs);
    const auto dx = GuardedArray<float>::output(backend(), batch * inputs);
    const auto d_weight = GuardedArray<float>::output(backend(), outputs * inputs);
    backend().linear_forward(y.matrix(batch, outputs), x_on_device.matrix(batch, inputs),
                             weight_on_device.matrix(outputs, inputs), {}, {});
    backend().linear_input_gradient(dx.matrix(batch, inputs), dz_on_device.matrix(batch, outputs),
                                    weight_on_device.matrix(outputs, inputs), {}, {});
    backend().linear_weight_gradient(d_weight.matrix(outputs, inputs), {},
                                     dz_on_device.matrix(batch, outputs),
                                     x_on_device.matrix(batch, inputs), false);

    const double error = oracle::rounding_error(precision());
    const auto compare = [&](const GuardedArray<float>& actual, const oracle::Products& expected,
                             std::int64_t terms, const char* what) {
        std::vector<double> tolerance;
        for (const double magnitude : expected.magnitude.values) {
            tolerance.push_back(sum_bound(terms, magnitude) +
                                (2 * error + error * error) * magnitude);
        }
        expect_close(actual.values(), expected.value.values, tolerance, expected.value.columns,
                     what);
    };
    const oracle::DoubleMatrix x_exact(batch, inputs, x), dz_exact(batch, outputs, dz),
        weight_exact(outputs, inputs, weight);
    compare(y, oracle::linear(x_exact, weight_exact, {}), inputs, "y");
    compare(dx, oracle::linear_input_gradient(dz_exact, weight_exact), outputs, "dx");
    compare(d_weight, oracle::linear_weight_gradient(dz_exact, x_exact), batch, "d_weight");
}

} // namespace
} // namespace patchforge::testing
