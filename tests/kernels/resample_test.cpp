// Padding, cropping, doubling, shuffling and turning against the oracle and golden values.
#include "tests/kernels/backends.h"
#include "tests/kernels/golden.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/resample.h"

namespace patchforge::testing {
namespace {

using enum ResampleKind;

class ResampleTest : public BackendTest {
  protected:
    using Floats = GuardedArray<float>;

    std::vector<float> forward(const std::vector<float>& x, const Resample& rule) {
        rule.validate();
        const auto rows = static_cast<std::int64_t>(x.size()) / rule.in.size();
        const auto x_device = Floats::input(backend(), x, 1);
        const auto y = Floats::output(backend(), rows * rule.out().size(), 3);
        backend().resample(y.matrix(rows, rule.out().size()), x_device.matrix(rows, rule.in.size()),
                           rule);
        return y.values();
    }
    std::vector<float> gradient(const std::vector<float>& dy, const std::vector<float>& x,
                                const Resample& rule, const Epilogue& previous) {
        const auto rows = static_cast<std::int64_t>(dy.size()) / rule.out().size();
        const auto x_device = Floats::input(backend(), x, 1);
        const auto dy_device = Floats::input(backend(), dy, 2);
        const auto dx = Floats::output(backend(), rows * rule.in.size(), 3);
        backend().resample_gradient(
            dx.matrix(rows, rule.in.size()), dy_device.matrix(rows, rule.out().size()),
            previous.is_identity() ? Matrix<float>{} : x_device.matrix(rows, rule.in.size()), rule,
            previous);
        return dx.values();
    }
};
PATCHFORGE_ON_EVERY_BACKEND(ResampleTest);

std::vector<Resample> rules() {
    // kind, extent, top, left, bottom, right, factor, turn
    std::vector<Resample> all{
        {zero_padding, {1, 1, 1}, 1, 1, 1, 1},
        {zero_padding, {3, 5, 7}, 2, 0, 1, 3},
        {zero_padding, {2, 6, 5}, -1, -2, -1, -1}, // a crop
        {zero_padding, {2, 6, 5}, -2, 1, 3, -2},   // moved
        {zero_padding, {1, 56, 56}, -3, -3, -3, -3},
        {reflection_padding, {2, 3, 3}, 2, 2, 2, 2},
        {reflection_padding, {3, 5, 7}, 4, 0, 1, 6},
        {reflection_padding, {1, 1, 4}, 0, 3, 0, 1},
        {nearest, {3, 5, 7}},
        {nearest, {2, 7, 4}, 0, 0, -1, -1},
        {nearest, {33, 1, 1}, 0, 0, 0, -1},
        {bilinear, {3, 5, 7}},
        {bilinear, {2, 7, 4}, 0, 0, -1, -1},
        {bilinear, {1, 1, 2}},
        {shuffle, {4, 1, 3}},
        {shuffle, {18, 3, 2}, 0, 0, 0, 0, 3},
        {shuffle, {5, 2, 3}, 0, 0, 0, 0, 1},
    };
    for (int element = 0; element < 8; ++element) {
        all.push_back({turn, {2, 3, 5}, 0, 0, 0, 0, 2, element});
    }
    return all;
}

TEST_P(ResampleTest, AgreesWithTheOracle) {
    std::size_t n = 0;
    for (const Resample& rule : rules()) {
        const std::int64_t rows = 1 + static_cast<std::int64_t>(++n % 3);
        const std::int64_t inputs = rule.in.size(), outputs = rule.out().size();
        SCOPED_TRACE(describe("rule", n, "from", rule.in.text(), "to", rule.out().text()));
        const auto x = random_values(701 + n, rows * inputs);
        const auto dy = random_values(801 + n, rows * outputs);
        const oracle::LinearMap map = oracle::resample(rule);
        const oracle::DoubleMatrix xs(rows, inputs, x);
        expect_close(forward(x, rule), map.forward(xs).values, rule.kind == bilinear ? 2e-7 : 0,
                     "y");

        const DeviceStep step(backend(), 3, 5, 2);
        const auto previous = every_epilogue()[n % 10].at(step);
        const oracle::Epilogue reference(previous, step.value());
        const auto expected =
            oracle::activation_gradient(map.transpose({rows, outputs, dy}), xs, reference);
        expect_close(gradient(dy, x, rule, previous), expected.values, 6e-6, "dx");
    }
}

TEST_P(ResampleTest, GoldenValues) {
    std::vector<float> counting(16);
    for (std::size_t i = 0; i < counting.size(); ++i) {
        counting[i] = static_cast<float>(i);
    }
    const auto first = [&](std::size_t count) {
        return std::vector<float>(counting.begin(), counting.begin() + static_cast<long>(count));
    };
    const Resample reflection{reflection_padding, {1, 3, 3}, 2, 2, 2, 2};
    const auto padded = forward(first(9), reflection);
    EXPECT_EQ(std::vector<float>(padded.begin(), padded.begin() + 7),
              (std::vector<float>{8, 7, 6, 7, 8, 7, 6}));
    EXPECT_EQ(std::vector<float>(padded.begin() + 14, padded.begin() + 21),
              (std::vector<float>{2, 1, 0, 1, 2, 1, 0}));
    EXPECT_EQ(gradient(std::vector<float>(49, 1), {}, reflection, {}),
              (std::vector<float>{4, 6, 4, 6, 9, 6, 4, 6, 4}));

    EXPECT_EQ(forward(first(16), {shuffle, {4, 2, 2}}),
              (std::vector<float>{0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15}));
    EXPECT_EQ(forward(first(12), {shuffle, {4, 1, 3}}),
              (std::vector<float>{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}));

    const Resample doubled{bilinear, {1, 3, 3}};
    const Golden expected{
        Golden::unknown, Golden::unknown, {.295520207, .432007901, .704983290, .879019441}};
    const auto x = golden_input(9);
    expect_golden(oracle::resample(doubled).forward({1, 9, x}).values, expected, "oracle");
    expect_golden(forward(oracle::to_float(x), doubled), expected, "bilinear");

    // Doubled and convolved.
    const ConvolutionShape convolution{ConvolutionKind::convolution, 1, 6, 6, 1, 3, 3, 1, 1};
    const auto large = Floats::input(backend(), forward(oracle::to_float(x), {nearest, {1, 3, 3}}));
    const auto weight = Floats::input(backend(), oracle::to_float(wave(std::cos, 0.5, 0.1, 9)));
    const auto convolved = Floats::output(backend(), 36);
    backend().convolution_forward(convolved.matrix(1, 36), large.matrix(1, 36), weight.view(), {},
                                  {}, convolution);
    expect_golden(convolved.values(), {18.700449668, 185.442057278, {-.837302491, -1.922840828}},
                  "nearest x2");

    // A quarter turn to the left.
    EXPECT_EQ(forward(first(6), {turn, {1, 2, 3}, 0, 0, 0, 0, 2, 5}),
              (std::vector<float>{2, 5, 1, 4, 0, 3}));
}

TEST(ResampleRule, RefusesWhatCannotBe) {
    EXPECT_THROW((Resample{reflection_padding, {3, 4, 9}, 4, 0, 0, 0}.validate()),
                 std::invalid_argument);
    EXPECT_THROW((Resample{reflection_padding, {3, 4, 9}, 0, 0, 0, -1}.validate()),
                 std::invalid_argument);
    EXPECT_THROW((Resample{zero_padding, {3, 4, 4}, -2, 0, -2, 0}.validate()),
                 std::invalid_argument);
    EXPECT_THROW((Resample{zero_padding, {3, 4, 4}, -4, 0, 5, 0}.validate()),
                 std::invalid_argument);
    EXPECT_THROW((Resample{nearest, {3, 4, 4}, 0, 0, 1, 0}.validate()), std::invalid_argument);
    EXPECT_THROW((Resample{bilinear, {3, 4, 4}, 0, 0, 0, -2}.validate()), std::invalid_argument);
    EXPECT_THROW((Resample{shuffle, {6, 4, 4}}.validate()), std::invalid_argument);
    EXPECT_THROW((Resample{turn, {3, 4, 4}, 0, 0, 0, 0, 2, 8}.validate()), std::invalid_argument);
}

} // namespace
} // namespace patchforge::testing
