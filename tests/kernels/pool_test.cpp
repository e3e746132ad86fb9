// Pooling against the oracle and golden values.
#include "tests/kernels/backends.h"
#include "tests/kernels/golden.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/pool.h"

namespace patchforge::testing {
namespace {

class PoolTest : public BackendTest {
  protected:
    using Floats = GuardedArray<float>;

    std::vector<float> forward(const std::vector<float>& x, const Pool& pool) {
        pool.validate();
        const auto rows = static_cast<std::int64_t>(x.size()) / pool.in.size();
        const auto x_device = Floats::input(backend(), x, 1);
        const auto y = Floats::output(backend(), rows * pool.out().size(), 3);
        backend().pool(y.matrix(rows, pool.out().size()), x_device.matrix(rows, pool.in.size()),
                       pool);
        return y.values();
    }
    std::vector<float> gradient(const std::vector<float>& dy, const std::vector<float>& x,
                                const Pool& pool, const Epilogue& previous) {
        const auto rows = static_cast<std::int64_t>(x.size()) / pool.in.size();
        const auto x_device = Floats::input(backend(), x, 1);
        const auto dy_device = Floats::input(backend(), dy, 2);
        const auto dx = Floats::output(backend(), rows * pool.in.size(), 3);
        const bool reads = pool.kind == PoolKind::maximum || !previous.is_identity();
        backend().pool_gradient(
            dx.matrix(rows, pool.in.size()), dy_device.matrix(rows, pool.out().size()),
            reads ? x_device.matrix(rows, pool.in.size()) : Matrix<float>{}, pool, previous);
        return dx.values();
    }
};
PATCHFORGE_ON_EVERY_BACKEND(PoolTest);

const std::vector<Pool>& pools() {
    using enum PoolKind;
    // kind, extent, kernel, stride, padding, ceil mode, adaptive size
    static const std::vector<Pool> all{
        {maximum, {1, 1, 1}, 1, 1},
        {maximum, {3, 6, 8}},
        {maximum, {2, 25, 25}},              // the last line and column are lost
        {maximum, {2, 5, 7}, 2, 2, 0, true}, // or not
        {maximum, {2, 7, 6}, 3, 2, 1},       // windows overlap
        {maximum, {2, 7, 6}, 3, 2, 1, true},
        {maximum, {1, 9, 8}, 2, 3},          // gaps between them
        {maximum, {2, 4, 5}, 5, 1, 2},       // larger than the picture without its padding
        {maximum, {1, 3, 3}, 2, 2, 1, true}, // a last window that would begin in the padding
        {average, {3, 6, 8}},
        {average, {2, 5, 7}, 2, 2, 0, true},
        {average, {2, 7, 6}, 3, 2, 1},
        {average, {2, 8, 6}, 3, 2, 1, true}, // a last window that sticks out of the padding
        {average, {1, 9, 8}, 2, 3},
        {average, {1, 20, 18}, 9, 9},  // a warp a window
        {adaptive_average, {3, 7, 5}}, // global
        {adaptive_average, {2, 50, 50}, 2, 2, 0, false, 4, 4},
        {adaptive_average, {2, 7, 5}, 2, 2, 0, false, 3, 5},
        {adaptive_average, {33, 1, 1}},
        {adaptive_sum, {5, 9, 8}},
        {adaptive_sum, {2, 4, 5}},
    };
    return all;
}

TEST_P(PoolTest, AgreesWithTheOracle) {
    for (std::size_t n = 0; n < pools().size(); ++n) {
        const Pool& pool = pools()[n];
        const std::int64_t rows = 1 + static_cast<std::int64_t>(n % 3);
        const std::int64_t inputs = pool.in.size(), outputs = pool.out().size();
        SCOPED_TRACE(describe("pool", n, "of", pool.in.text(), "to", pool.out().text()));
        // Few different numbers: many windows have their largest one twice.
        std::vector<float> x = random_values(501 + n, rows * inputs);
        for (float& value : x) {
            value = std::round(value * 4) / 8;
        }
        const auto dy = random_values(601 + n, rows * outputs);
        const oracle::DoubleMatrix xs(rows, inputs, x);
        const auto expected = oracle::pool(xs, pool);
        // Sums of up to 2500 eighths are exact; what is divided rounds once or twice.
        expect_close(forward(x, pool), expected.values, pool.kind == PoolKind::maximum ? 0 : 4e-7,
                     "y");

        const DeviceStep step(backend(), 3, 5, 2);
        const auto previous = every_epilogue()[n % 10].at(step);
        const oracle::Epilogue reference(previous, step.value());
        const auto expected_dx = oracle::activation_gradient(
            oracle::pool_gradient({rows, outputs, dy}, xs, pool), xs, reference);
        expect_close(gradient(dy, x, pool, previous), expected_dx.values, 3e-6, "dx");
    }
}

// A NaN is never the smaller one, wherever it stands in its window.
TEST_P(PoolTest, MaximumOfNaNIsNaN) {
    std::vector<float> x(4 * 16, 1.0f);
    for (std::size_t place = 0; place < 4; ++place) {
        x[16 * place + place % 2 + place / 2 * 4] = NAN;
    }
    const auto y = forward(x, {.in = {1, 4, 4}});
    for (std::size_t e = 0; e < y.size(); ++e) {
        EXPECT_EQ(std::isnan(y[e]), e % 4 == 0) << e;
    }
}

// Padding is no number: of a window of -infinities nothing else can come.
TEST_P(PoolTest, PaddingIsBelowEverything) {
    const std::vector<float> x(9, -INFINITY);
    const Pool pool{.in = {1, 3, 3}, .kernel = 3, .stride = 2, .padding = 1};
    EXPECT_EQ(forward(x, pool), std::vector<float>(4, -INFINITY));
    EXPECT_EQ(gradient({1, 2, 3, 4}, x, pool, {}), (std::vector<float>{1, 2, 0, 3, 4, 0, 0, 0, 0}));
}

TEST_P(PoolTest, GoldenValues) {
    using enum PoolKind;
    const std::vector<float> p{1, 3, 3, 0, 2, 4, 4, 1, 2, 2, 0, 1, 5,
                               5, 1, 2, 2, 5, 0, 0, 1, 0, 0, 7, 7};
    std::vector<float> lower = p;
    for (float& value : lower) {
        value -= 8;
    }
    const Extent in{1, 5, 5};
    EXPECT_EQ(forward(p, {maximum, in}), (std::vector<float>{4, 3, 2, 5}));
    EXPECT_EQ(gradient({1, 2, 3, 4}, p, {maximum, in}, {}),
              (std::vector<float>{0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4,
                                  0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    const Pool ceiled{maximum, in, 2, 2, 0, true};
    EXPECT_EQ(forward(p, ceiled), (std::vector<float>{4, 3, 2, 2, 5, 1, 1, 7, 7}));
    EXPECT_EQ(gradient({1, 2, 3, 4, 5, 6, 7, 8, 9}, p, ceiled, {}),
              (std::vector<float>{0, 0, 2, 0, 3, 1, 0, 0, 0, 0, 0, 0, 5,
                                  0, 6, 4, 0, 0, 0, 0, 7, 0, 0, 8, 9}));
    EXPECT_EQ(forward(lower, {maximum, in, 3, 2, 1}),
              (std::vector<float>{-4, -4, -6, -4, -3, -3, -6, -1, -1}));
    expect_close(forward(p, {average, in}), {3, 1.5, 1.25, 3.75}, 1e-6, "average 2/2");
    expect_close(forward(p, {average, in, 3, 2, 1}),
                 {1.333333333, 1.444444444, .666666667, 1.444444444, 2.777777778, 1.111111111,
                  .555555556, 1.555555556, 1.555555556},
                 1e-6, "average 3/2, padding 1");
    // Windows [0, 13), [12, 25), [25, 38), [37, 50) of 50 to 4.
    const Pool adaptive{adaptive_average, {1, 1, 50}, 2, 2, 0, false, 1, 4};
    std::vector<float> line;
    for (int i = 0; i < 50; ++i) {
        line.push_back(static_cast<float>(i));
    }
    EXPECT_EQ(forward(line, adaptive), (std::vector<float>{6, 18, 31, 43}));
}

TEST(PoolShape, RefusesWhatCannotBe) {
    using enum PoolKind;
    EXPECT_THROW((Pool{maximum, {3, 4, 4}, 5, 1}.validate()), std::invalid_argument);
    EXPECT_THROW((Pool{maximum, {3, 9, 4}, 7, 1, 1}.validate()), std::invalid_argument);
    EXPECT_THROW((Pool{maximum, {3, 9, 9}, 2, 2, 2}.validate()), std::invalid_argument);
    EXPECT_THROW((Pool{maximum, {3, 9, 9}, 2, 0}.validate()), std::invalid_argument);
    EXPECT_THROW((Pool{adaptive_sum, {3, 9, 4}, 2, 2, 0, false, 5, 5}.validate()),
                 std::invalid_argument);
    EXPECT_THROW((Pool{maximum, {1, 1, 46340}, 1, 1}.validate()), std::invalid_argument);
    EXPECT_EQ((Pool{.in = {3, 50, 49}}.out()), (Extent{3, 25, 24}));
    EXPECT_EQ((Pool{.in = {3, 50, 49}, .ceil_mode = true}.out()), (Extent{3, 25, 25}));
}

} // namespace
} // namespace patchforge::testing
