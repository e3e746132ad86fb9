// Convolutional layers against the oracle and against golden values, in every precision.
#include "tests/kernels/backends.h"
#include "tests/kernels/convolution_cases.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/convolution.h"
#include "tests/oracle/rounding.h"

namespace patchforge::testing {
namespace {

using Floats = GuardedArray<float>;

// The operands of a layer's products as the backend rounds them.
class RoundedLayer {
  public:
    RoundedLayer(const ConvolutionShape& shape, std::int64_t batch, Precision precision)
        : shape_(shape), batch_(batch),
          precision_(shape.rounds(batch) ? precision : Precision::float32) {}

    oracle::DoubleMatrix map(const std::vector<float>& values) const {
        return rounded({batch_, static_cast<std::int64_t>(values.size()) / batch_, values});
    }
    oracle::Products forward(const std::vector<float>& x, const std::vector<float>& weight,
                             const std::vector<float>& bias) const {
        return oracle::convolution(map(x), weights(weight), oracle::to_double(bias), of_products());
    }
    oracle::Products input_gradient(const std::vector<float>& dz,
                                    const std::vector<float>& weight) const {
        return oracle::convolution_input_gradient(map(dz), weights(weight), of_products());
    }
    oracle::Products weight_gradient(const std::vector<float>& dz,
                                     const std::vector<float>& x) const {
        return oracle::convolution_weight_gradient(map(dz), map(x), shape_);
    }

    // Products in a sum of each operation.
    std::int64_t forward_terms() const { return shape_.weights() / shape_.out_channels + 1; }
    std::int64_t input_terms() const { return shape_.weights() / shape_.in.channels; }
    std::int64_t weight_terms() const { return batch_ * shape_.out().plane(); }

  private:
    // What is rounded of an upsampled layer is its folded weights.
    bool folds() const {
        return shape_.kind == ConvolutionKind::upsampled && precision_ != Precision::float32;
    }
    ConvolutionShape of_products() const {
        ConvolutionShape shape = shape_;
        if (folds()) {
            shape.kind = ConvolutionKind::transposed;
            shape.kernel_height = shape.kernel_width = 4;
            shape.stride = 2;
        }
        return shape;
    }
    oracle::DoubleMatrix weights(const std::vector<float>& weight) const {
        if (!folds()) {
            return rounded({1, static_cast<std::int64_t>(weight.size()), weight});
        }
        // Lines first, each sum rounded to float32: [w2, w1 + w2, w0 + w1, w0].
        const auto fold = [](auto w) {
            return std::array<float, 4>{w(2), w(1) + w(2), w(0) + w(1), w(0)};
        };
        std::vector<float> folded;
        for (int i = 0; i < shape_.in.channels; ++i) {
            for (int o = 0; o < shape_.out_channels; ++o) {
                const float* const from = weight.data() + (o * shape_.in.channels + i) * 9;
                std::array<float, 4> column[3];
                for (int b = 0; b < 3; ++b) {
                    column[b] = fold([&](int a) { return from[a * 3 + b]; });
                }
                for (std::size_t a = 0; a < 4; ++a) {
                    for (const float value : fold([&](int b) { return column[b][a]; })) {
                        folded.push_back(value);
                    }
                }
            }
        }
        return rounded({1, static_cast<std::int64_t>(folded.size()), folded});
    }
    oracle::DoubleMatrix rounded(const oracle::DoubleMatrix& exact) const {
        return oracle::rounded(exact, precision_, rounded_from_rows);
    }

    ConvolutionShape shape_;
    std::int64_t batch_;
    Precision precision_;
};

class ConvolutionTest : public BackendTest {
  protected:
    // Calls test(batch, shape, epilogue, shift, seed) for every layer that this precision changes,
    // with epilogues and alignments taking turns.
    template <class Test>
    void for_each_case(Test test) {
        for (std::size_t n = 0; n < convolution_cases().size(); ++n) {
            const auto& [batch, shape] = convolution_cases()[n];
            if (precision() != Precision::float32 && !shape.rounds(batch)) {
                continue;
            }
            const NamedEpilogue& epilogue = every_epilogue()[n % every_epilogue().size()];
            const int shift = static_cast<int>(n % 3);
            const std::uint64_t seed = 2000 + 10 * n;
            SCOPED_TRACE(describe("", shape.text(), "batch", batch, "epilogue", epilogue.name,
                                  "shift", shift, "seed", seed));
            test(batch, shape, epilogue, shift, seed);
        }
    }

    static std::vector<float> weights(std::uint64_t seed, const ConvolutionShape& shape) {
        const float limit = 3 / std::sqrt(static_cast<float>(shape.weights()) /
                                          static_cast<float>(shape.out_channels));
        return random_values(seed, shape.weights(), -limit, limit);
    }

    // The operations on arrays of the host.
    std::vector<float> forward(const std::vector<float>& x, const std::vector<float>& weight,
                               const std::vector<float>& bias, const ConvolutionShape& shape,
                               const Epilogue& epilogue = {}, int shift = 0) {
        const std::int64_t batch = static_cast<std::int64_t>(x.size()) / shape.inputs();
        const Floats y = Floats::output(backend(), batch * shape.outputs(), shift);
        const Floats x_on_device = Floats::input(backend(), x, shift);
        const Floats weight_on_device = Floats::input(backend(), weight, shift);
        const Floats bias_on_device = Floats::input(backend(), bias, shift);
        backend().convolution_forward(
            y.matrix(batch, shape.outputs()), x_on_device.matrix(batch, shape.inputs()),
            weight_on_device.view(), bias_on_device.view(), epilogue, shape);
        return y.values();
    }
    std::vector<float> input_gradient(const std::vector<float>& dz,
                                      const std::vector<float>& weight,
                                      const ConvolutionShape& shape,
                                      const std::vector<float>& x = {},
                                      const Epilogue& previous = {}, int shift = 0) {
        const std::int64_t batch = static_cast<std::int64_t>(dz.size()) / shape.outputs();
        const Floats dx = Floats::output(backend(), batch * shape.inputs(), shift);
        const Floats dz_on_device = Floats::input(backend(), dz, shift);
        const Floats weight_on_device = Floats::input(backend(), weight, shift);
        const Floats x_on_device = Floats::input(backend(), x, shift);
        backend().convolution_input_gradient(
            dx.matrix(batch, shape.inputs()), dz_on_device.matrix(batch, shape.outputs()),
            weight_on_device.view(),
            x.empty() ? Matrix<float>{} : x_on_device.matrix(batch, shape.inputs()), previous,
            shape);
        return dx.values();
    }
    struct Gradient {
        std::vector<float> weight, bias;
    };
    // Added to `before`, or written over what was there.
    Gradient weight_gradient(const std::vector<float>& dz, const std::vector<float>& x,
                             const ConvolutionShape& shape, bool with_bias = true,
                             const Gradient* before = nullptr, int shift = 0) {
        const std::int64_t batch = static_cast<std::int64_t>(dz.size()) / shape.outputs();
        const auto start = [&](const std::vector<float>* values, std::int64_t size) {
            return values ? Floats::changing(backend(), *values, shift)
                          : Floats::output(backend(), size, shift);
        };
        const Floats d_weight = start(before ? &before->weight : nullptr, shape.weights());
        const Floats d_bias =
            start(before ? &before->bias : nullptr, with_bias ? shape.out_channels : 0);
        const Floats dz_on_device = Floats::input(backend(), dz, shift);
        const Floats x_on_device = Floats::input(backend(), x, shift);
        backend().convolution_weight_gradient(
            d_weight.view(), d_bias.view(), dz_on_device.matrix(batch, shape.outputs()),
            x_on_device.matrix(batch, shape.inputs()), before != nullptr, shape);
        return {d_weight.values(), d_bias.values()};
    }
};
PATCHFORGE_ON_EVERY_BACKEND(ConvolutionTest);
PATCHFORGE_IN_EVERY_PRECISION(ConvolutionTest);

TEST_P(ConvolutionTest, Forward) {
    for_each_case([&](std::int64_t batch, const ConvolutionShape& shape, const NamedEpilogue& named,
                      int shift, std::uint64_t seed) {
        const auto x = random_values(seed, batch * shape.inputs());
        const auto weight = weights(seed + 1, shape);
        const auto bias = random_values(seed + 2, seed % 30 ? shape.out_channels : 0);
        const DeviceStep step(backend(), 41, 3, 1);
        const oracle::Epilogue epilogue(named.at(step), step.value());
        const RoundedLayer layer(shape, batch, precision());
        const oracle::Products z = layer.forward(x, weight, bias);
        const oracle::DoubleMatrix expected = oracle::activate(z.value, epilogue);
        std::vector<double> tolerance;
        for (std::size_t e = 0; e < expected.values.size(); ++e) {
            const double error = sum_bound(layer.forward_terms(), z.magnitude.values[e]);
            tolerance.push_back(
                epilogue.keeps(e)
                    ? epilogue_bound(z.value.values[e], error, expected.values[e], named.dropout)
                    : 0);
        }
        expect_close(forward(x, weight, bias, shape, named.at(step), shift), expected.values,
                     tolerance, shape.outputs(), "y");
    });
}

TEST_P(ConvolutionTest, InputGradient) {
    for_each_case([&](std::int64_t batch, const ConvolutionShape& shape, const NamedEpilogue& named,
                      int shift, std::uint64_t seed) {
        const DeviceStep step(backend(), 41, 3, 1);
        const oracle::Epilogue previous(named.at(step), step.value());
        const auto dz = random_values(seed, batch * shape.outputs());
        const auto weight = weights(seed + 1, shape);
        // The input as the epilogue of the layer before leaves it: with zeros, with kinks.
        std::vector<float> x;
        if (!named.at(step).is_identity()) {
            auto z = random_values(seed + 2, batch * shape.inputs(), -2, 2);
            for (std::size_t e = 0; e < z.size(); e += 5) {
                z[e] = 0;
            }
            x = oracle::to_float(oracle::activate({batch, shape.inputs(), z}, previous).values);
        }
        const RoundedLayer layer(shape, batch, precision());
        const oracle::Products d = layer.input_gradient(dz, weight);
        std::vector<double> expected, tolerance;
        for (std::size_t e = 0; e < d.value.values.size(); ++e) {
            const double y = x.empty() ? 0 : x[e];
            expected.push_back(d.value.values[e] * previous.derivative(y, e));
            tolerance.push_back(derivative_bound(
                d.value.values[e], sum_bound(layer.input_terms(), d.magnitude.values[e]), previous,
                y, e));
        }
        expect_close(input_gradient(dz, weight, shape, x, named.at(step), shift), expected,
                     tolerance, shape.inputs(), "dx");
    });
}

TEST_P(ConvolutionTest, WeightGradient) {
    for_each_case([&](std::int64_t batch, const ConvolutionShape& shape, const NamedEpilogue&,
                      int shift, std::uint64_t seed) {
        const bool accumulate = seed % 20 != 0;
        const bool with_bias = seed % 30 != 0;
        const auto dz = random_values(seed, batch * shape.outputs());
        const auto x = random_values(seed + 1, batch * shape.inputs());
        const Gradient before{random_values(seed + 2, shape.weights()),
                              random_values(seed + 3, with_bias ? shape.out_channels : 0)};
        const RoundedLayer layer(shape, batch, precision());
        const auto compare = [&](oracle::Products expected, const std::vector<float>& start,
                                 const std::vector<float>& actual, const char* what) {
            std::vector<double> tolerance;
            for (std::size_t e = 0; e < start.size(); ++e) {
                if (accumulate) {
                    expected.add(0, static_cast<std::int64_t>(e), start[e]);
                }
                tolerance.push_back(
                    sum_bound(layer.weight_terms() + 1, expected.magnitude.values[e]));
            }
            expect_close(actual, expected.value.values, tolerance, expected.value.columns, what);
        };
        const Gradient actual =
            weight_gradient(dz, x, shape, with_bias, accumulate ? &before : nullptr, shift);
        compare(layer.weight_gradient(dz, x), before.weight, actual.weight, "d_weight");
        if (with_bias) {
            compare(oracle::convolution_bias_gradient({batch, shape.outputs(), dz}, shape),
                    before.bias, actual.bias, "d_bias");
        }
    });
}

TEST_P(ConvolutionTest, WeightGradientAdam) {
    for_each_case([&](std::int64_t batch, const ConvolutionShape& shape, const NamedEpilogue&,
                      int shift, std::uint64_t seed) {
        const DeviceStep step(backend(), 2, 2, 1);
        const Adam adam{.learning_rate = 0.01f, .beta1 = 0.5f, .step = step.count(), .clip = 0.9f};
        const bool with_bias = seed % 30 != 0;
        const auto dz = random_values(seed, batch * shape.outputs());
        const auto x = random_values(seed + 1, batch * shape.inputs());
        TensorUnderAdam weight(backend(), seed + 2, shape.weights(), shift);
        TensorUnderAdam bias(backend(), seed + 5, with_bias ? shape.out_channels : 0, shift);
        const Floats dz_on_device = Floats::input(backend(), dz, shift);
        const Floats x_on_device = Floats::input(backend(), x, shift);
        backend().convolution_weight_gradient_adam(
            weight.tensor(), bias.tensor(), dz_on_device.matrix(batch, shape.outputs()),
            x_on_device.matrix(batch, shape.inputs()), adam, shape);

        const RoundedLayer layer(shape, batch, precision());
        weight.expect_step(layer.weight_gradient(dz, x), layer.weight_terms(), adam, step.value());
        weight.compare(shape.weights(), "weight");
        if (with_bias) {
            bias.expect_step(oracle::convolution_bias_gradient({batch, shape.outputs(), dz}, shape),
                             layer.weight_terms(), adam, step.value());
            bias.compare(shape.out_channels, "bias");
        }
    });
}

// Small whole numbers: every sum is exact, in every order and precision.
std::vector<float> whole_numbers(std::uint64_t seed, std::int64_t count) {
    std::vector<float> values = random_values(seed, count, -4, 5);
    for (float& value : values) {
        value = std::floor(value);
    }
    return values;
}

TEST_P(ConvolutionTest, WholeNumbersAreExact) {
    for_each_case([&](std::int64_t batch, const ConvolutionShape& shape, const NamedEpilogue&,
                      int shift, std::uint64_t seed) {
        const auto x = whole_numbers(seed, batch * shape.inputs());
        const auto dz = whole_numbers(seed + 1, batch * shape.outputs());
        const auto weight = whole_numbers(seed + 2, shape.weights());
        const auto bias = whole_numbers(seed + 3, shape.out_channels);
        const oracle::DoubleMatrix xs(batch, shape.inputs(), x), dzs(batch, shape.outputs(), dz),
            ws(1, shape.weights(), weight);
        const auto expect = [](const std::vector<float>& actual, const oracle::Products& expected,
                               const char* what) {
            expect_close(actual, expected.value.values, 0, what);
        };
        const auto y = forward(x, weight, bias, shape, {}, shift);
        expect(y, oracle::convolution(xs, ws, oracle::to_double(bias), shape), "y");
        const auto dx = input_gradient(dz, weight, shape, {}, {}, shift);
        expect(dx, oracle::convolution_input_gradient(dzs, ws, shape), "dx");
        const Gradient gradient = weight_gradient(dz, x, shape, true, nullptr, shift);
        expect(gradient.weight, oracle::convolution_weight_gradient(dzs, xs, shape), "d_weight");
        expect(gradient.bias, oracle::convolution_bias_gradient(dzs, shape), "d_bias");

        // <layer(x) - bias, dz> = <x, transpose(dz)> = <weight, gradient>: all three are one sum.
        const auto dot = [](const std::vector<float>& a, const std::vector<float>& b) {
            double sum = 0;
            for (std::size_t e = 0; e < a.size(); ++e) {
                sum += static_cast<double>(a[e]) * b[e];
            }
            return sum;
        };
        const double value = dot(y, dz) - dot(bias, gradient.bias);
        EXPECT_EQ(value, dot(x, dx));
        EXPECT_EQ(value, dot(weight, gradient.weight));
    });
}

// The CPU cuts large batches into groups, and lays out as many pictures at a time as its caches hold: whatever
// of it a layer meets, and with any number of threads, whole numbers add up to those of picture by picture.
TEST(CpuConvolution, GradientOfABatchIsThatOfItsPictures) {
    using enum ConvolutionKind;
    const ConvolutionCase cases[] = {
        {40, {convolution, 3, 21, 19, 16, 4, 4, 2, 1}},    // few channels, groups
        {3, {convolution, 1, 96, 96, 9, 3, 3, 1, 1}},      // a picture at a time
        {37, {convolution, 33, 7, 7, 64, 3, 3, 2, 1}},     // vectors of outputs, several beside
        {17, {convolution, 64, 13, 13, 40, 3, 3, 1, 1}},   // shared, sums kept between pictures
        {18, {transposed, 48, 9, 9, 3, 4, 4, 2, 1}},       // three outputs of a gather
        {33, {convolution, 16, 9, 10, 24, 5, 3, 1, 2, 2}}, // dilated
    };
    for (const int threads : {1, 3}) {
        const std::unique_ptr<Backend> backend = make_backend("cpu", {.threads = threads});
        for (const auto& [batch, shape] : cases) {
            SCOPED_TRACE(describe("", shape.text(), "batch", batch, "threads", threads));
            const Floats x = Floats::input(*backend, whole_numbers(7, batch * shape.inputs()));
            const Floats dz = Floats::input(*backend, whole_numbers(8, batch * shape.outputs()));
            const Floats at_once = Floats::output(*backend, shape.weights());
            const Floats one_by_one = Floats::output(*backend, shape.weights());
            backend->convolution_weight_gradient(at_once.view(), {},
                                                 dz.matrix(batch, shape.outputs()),
                                                 x.matrix(batch, shape.inputs()), false, shape);
            for (std::int64_t row = 0; row < batch; ++row) {
                const Matrix<const float> of_row = {dz.view().data + row * shape.outputs(), 1,
                                                    shape.outputs()};
                backend->convolution_weight_gradient(
                    one_by_one.view(), {}, of_row,
                    {x.view().data + row * shape.inputs(), 1, shape.inputs()}, row > 0, shape);
            }
            EXPECT_EQ(at_once.values(), one_by_one.values());
        }
    }
}

// The same weights, read as PyTorch's Conv2d and ConvTranspose2d keep them.
TEST_P(ConvolutionTest, TransposedIsTheConvolutionsInputGradient) {
    const ConvolutionShape shape{ConvolutionKind::convolution, 5, 13, 8, 9, 3, 4, 2, 1};
    const ConvolutionShape back{
        ConvolutionKind::transposed, 9, shape.out().height, shape.out().width, 5, 3, 4, 2, 1};
    ASSERT_EQ(back.out().height, 13);
    ASSERT_EQ(back.out().width, 8);
    const auto dz = whole_numbers(1, 3 * shape.outputs());
    const auto weight = whole_numbers(2, shape.weights());
    EXPECT_EQ(forward(dz, weight, {}, back), input_gradient(dz, weight, shape));
}

// Values of PyTorch in float64 for sines and cosines, with what float32 may lose on them.
struct Golden {
    ConvolutionShape shape;
    std::vector<double> bias;
    struct Tensor {
        double sum = NAN, squares = NAN; // NaN: not known
        std::vector<double> first;
        double last = NAN;
    } y, dx, d_weight;
    std::vector<double> d_bias;
};

std::vector<float> wave(double (*function)(double), std::int64_t count, double frequency,
                        double phase) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) {
        values.push_back(static_cast<float>(function(frequency * static_cast<double>(i) + phase)));
    }
    return values;
}

TEST_P(ConvolutionTest, GoldenValues) {
    if (precision() != Precision::float32) {
        return; // too few channels to be rounded
    }
    using enum ConvolutionKind;
    const std::vector<double> four{.1, -.2, .3, -.4}, three{.1, -.2, .3};
    const std::vector<double> unit_stride_bias{3.963034177, 5.360451309, -.246790691, -5.531544048};
    const std::vector<double> stride_two_bias{8.022287204, -6.362714000, 3.482417747, .066000257};
    const Golden all[] = {
        {{convolution, 3, 5, 5, 4, 3, 3, 1, 1},
         four,
         {6.514364779, 855.308162135, {.227924962, 2.436967669, 3.932529711}, 1.431157485},
         {17.303909428, 2140.191421455, {.585281614, -.454942946}},
         {.824709587, 118.485449118, {.780794532, .109924286}},
         unit_stride_bias},
        {{convolution, 3, 5, 5, 4, 3, 3, 2, 1},
         four,
         {12.847980869, 387.999168419, {.227924962, 3.932529711, 1.315960460}, 1.431157485},
         {6.536837925, 31.319304548, {.082703862, .144950324}},
         {-.196890220, 328.872184160, {1.128218453, .244814890}},
         stride_two_bias},
        {{convolution, 3, 5, 5, 4, 3, 3, 1, 0},
         four,
         {-8.723549051, 82.314121074, {.744184896, .988648914}, .195644258},
         {6.456093123, 184.642114858, {.211242660, .666426189}},
         {-2.709604848, 59.077831933, {-.958762769, .069943824}},
         stride_two_bias},
        {{convolution, 3, 5, 5, 4, 3, 3, 1, 2, 2},
         four,
         {3.003153718, 2849.034668110, {-4.928085690, -3.042551618}, 3.167362452},
         {27.561027462, 1299.992031889, {-4.599778307, -4.060729763}},
         {-3.422905061, 283.363346730, {-1.042848579, -1.282601095}},
         unit_stride_bias},
        {{convolution, 2, 4, 7, 3, 3, 3, 1, 1},
         three,
         {20.194275487, 1238.697085250, {1.570763133, 1.316115270}},
         {30.943915427, 1110.243796779, {}},
         {.635671820, 250.714121549, {}},
         {}},
        {{convolution, 2, 4, 7, 3, 3, 3, 2, 1},
         three,
         {6.802582821, 331.126247870, {}},
         {28.393758464, 287.563274608, {}},
         {-.055178260, 67.441486067, {}},
         {}},
        {{transposed, 2, 3, 3, 3, 3, 3, 2, 1},
         three,
         {-4.141184910, 329.536777559, {-.358919678, -1.163753599, -1.170298409}, -.017068212},
         {4.475153020, 115.534623269, {-2.235882876, -2.189726920}},
         {4.118204967, 23.365945198, {.318363105, 1.072542299}},
         {.272543711, 1.882211582, 1.032338309}},
        {{transposed, 2, 3, 3, 3, 3, 3, 2, 1, 1, 1, 1},
         three,
         {5.346008266, 416.454888268, {-.358919678, -1.163753599, -1.170298409}, -.028622991},
         {24.347842718, 1784.850337422, {-4.948028653, -2.717363015}},
         {10.976282449, 110.009902000, {-.884307819, -2.152470317}},
         {-4.037375653, 8.801293762, .616666466}},
        {{transposed, 2, 3, 3, 3, 4, 4, 2, 1},
         three,
         {16.418293124, 509.723112226, {-.121029311, -.257709421, -1.041514498}, .372271418},
         {-20.189966031, 589.306726933, {-4.776142830, -7.061832544}},
         {-1.702931032, 298.779811821, {-.884307819, -2.152470317}},
         {-4.037375653, 8.801293762, .616666466}},
        {{transposed, 2, 2, 4, 3, 3, 3, 2, 1},
         three,
         {13.074100422, 343.024041035, {}},
         {8.119841728, 36.645646842, {}},
         {-29.972847310, 172.389420496, {}},
         {}},
    };
    constexpr double element = 2e-6, of_squares = 9e-5;
    for (const Golden& golden : all) {
        SCOPED_TRACE(golden.shape.text());
        const ConvolutionShape& shape = golden.shape;
        const auto x = wave(std::sin, 2 * shape.inputs(), 0.7, 0.3);
        const auto weight = wave(std::cos, shape.weights(), 0.5, 0.1);
        const auto dz = wave(std::sin, 2 * shape.outputs(), 0.3, 1);
        const auto compare = [&](const std::vector<float>& actual, const Golden::Tensor& expected,
                                 const char* what) {
            double sum = 0, squares = 0;
            for (const double value : actual) {
                sum += value;
                squares += value * value;
            }
            const auto near = [&](double value, double wanted, double tolerance) {
                EXPECT_TRUE(std::isnan(wanted) || std::fabs(value - wanted) <= tolerance)
                    << what << ": " << value << ", expected " << wanted;
            };
            near(sum, expected.sum, element * static_cast<double>(actual.size()));
            near(squares, expected.squares, of_squares + 1e-7 * expected.squares);
            for (std::size_t e = 0; e < expected.first.size(); ++e) {
                near(actual[e], expected.first[e], element);
            }
            near(actual.back(), expected.last, element);
        };
        compare(forward(x, weight, oracle::to_float(golden.bias), shape), golden.y, "y");
        compare(input_gradient(dz, weight, shape), golden.dx, "dx");
        const Gradient gradient = weight_gradient(dz, x, shape);
        compare(gradient.weight, golden.d_weight, "d_weight");
        if (!golden.d_bias.empty()) {
            expect_close(gradient.bias, golden.d_bias, element, "d_bias");
        }
    }

    // An odd size under stride 2: the last window ends on the last line, the far padding is unused.
    const auto k4 = [&](int size) {
        const ConvolutionShape shape{convolution, 1, size, size, 1, 4, 4, 2, 1};
        return forward(wave(std::sin, shape.inputs(), 0.7, 0.3), wave(std::cos, 16, 0.5, 0.1), {},
                       shape);
    };
    expect_close(k4(5), {-1.317343422, .237251088, -2.348252223, -1.115833766}, element, "5x5");
    const std::vector<float> six = k4(6);
    ASSERT_EQ(six.size(), 9u);
    expect_close(std::vector<float>(six.begin(), six.begin() + 2), {-2.007634901, -2.120703368},
                 element, "6x6");

    const ConvolutionShape depthwise{convolution, 3, 4, 4, 3, 3, 3, 1, 1, 1, 3};
    const auto y =
        forward(wave(std::sin, 48, 0.7, 0.3), wave(std::cos, 27, 0.5, 0.1), {}, depthwise);
    double sum = 0, squares = 0;
    for (const double value : y) {
        sum += value;
        squares += value * value;
    }
    EXPECT_NEAR(sum, 21.009662933, 48 * element);
    EXPECT_NEAR(squares, 102.395408476, of_squares);
    expect_close(std::vector<float>(y.begin(), y.begin() + 3),
                 {-.555816490, -.214137089, .891762508}, element, "depthwise");
}

} // namespace
} // namespace patchforge::testing
