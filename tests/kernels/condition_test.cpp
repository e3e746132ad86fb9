// Conditioning augmentation, its divergence, the inner products of projection and the classes that pictures do
// not have: against the oracle, PyTorch's values (condition_golden.py) and central differences.
#include "tests/kernels/backends.h"
#include "tests/kernels/differences.h"
#include "tests/kernels/golden.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/condition.h"

namespace patchforge::testing {
namespace {

class ConditionTest : public BackendTest {
  protected:
    using Floats = GuardedArray<float>;

    static std::vector<float> to_float(const std::vector<double>& values) {
        return {values.begin(), values.end()};
    }
};
PATCHFORGE_ON_EVERY_BACKEND(ConditionTest);

// Rows and numbers; the last has more than a block.
constexpr std::pair<std::int64_t, std::int64_t> sizes[] = {{1, 1},  {3, 5},   {2, 33}, {7, 32},
                                                           {31, 3}, {10, 65}, {5, 257}};

TEST_P(ConditionTest, AugmentsAndGoesBack) {
    std::uint64_t seed = 1801;
    for (const auto& [rows, width] : sizes) {
        SCOPED_TRACE(describe("rows", rows, "width", width, "seed", seed));
        const int shift = static_cast<int>(rows % 3);
        const auto noise = random_values(seed++, rows * width, -3, 3);
        const auto statistics = random_values(seed++, 2 * rows * width, -2, 2);
        const auto dy = random_values(seed++, rows * width);
        const auto noise_device = Floats::input(backend(), noise, shift);
        const auto statistics_device = Floats::input(backend(), statistics, 1);
        const auto dy_device = Floats::changing(backend(), dy, shift);
        const auto y = Floats::output(backend(), rows * width, 2);
        const Matrix<float> condition = statistics_device.matrix(rows, 2 * width);
        backend().augment_condition(y.matrix(rows, width), noise_device.matrix(rows, width),
                                    condition);
        oracle::DoubleMatrix noises(rows, width, noise), told(rows, 2 * width, statistics);
        expect_close(y.values(), oracle::augment_condition(noises, told).values, 2e-6, "y");
        const auto in_place = Floats::changing(backend(), noise, shift);
        backend().augment_condition(in_place.matrix(rows, width), in_place.matrix(rows, width),
                                    condition);
        EXPECT_EQ(in_place.values(), y.values());

        const auto d_noise = Floats::output(backend(), rows * width, 1);
        const auto d_statistics = Floats::output(backend(), 2 * rows * width, shift);
        const auto back = [&](Matrix<float> d_noises) {
            backend().augment_condition_gradient(d_noises, d_statistics.matrix(rows, 2 * width),
                                                 dy_device.matrix(rows, width),
                                                 noise_device.matrix(rows, width), condition);
        };
        back({});
        const auto alone = d_statistics.values();
        back(d_noise.matrix(rows, width));
        EXPECT_EQ(alone, d_statistics.values());
        const auto loss = [&] { return dot(dy, oracle::augment_condition(noises, told).values); };
        expect_slopes(noises.values, d_noise.values(), loss, 2e-5, "noise");
        expect_slopes(told.values, d_statistics.values(), loss, 2e-5, "statistics");
        back(dy_device.matrix(rows, width)); // in place
        EXPECT_EQ(dy_device.values(), d_noise.values());
    }
}

TEST_P(ConditionTest, Divergence) {
    std::uint64_t seed = 1841;
    for (const auto& [rows, width] : sizes) {
        SCOPED_TRACE(describe("rows", rows, "width", width, "seed", seed));
        // Small ones too: exp(v) - 1 - v must not be lost in roundings.
        const float reach = rows == 7 ? 1e-2f : 3;
        const auto statistics = random_values(seed++, 2 * rows * width, -reach, reach);
        const auto statistics_device = Floats::input(backend(), statistics, 1);
        const auto d_statistics = Floats::output(backend(), 2 * rows * width, 3);
        const auto divergence = Floats::output(backend(), 1, 2);
        const float scale = 2.5f;
        backend().gaussian_divergence(d_statistics.matrix(rows, 2 * width), divergence.view(),
                                      statistics_device.matrix(rows, 2 * width), scale);
        oracle::DoubleMatrix told(rows, 2 * width, statistics);
        const double expected = oracle::gaussian_divergence(told);
        EXPECT_FALSE(!(std::fabs(divergence.values()[0] - expected) <= 4e-6 * expected))
            << divergence.values()[0] << ", expected " << expected;
        expect_slopes(
            told.values, d_statistics.values(),
            [&] { return scale * oracle::gaussian_divergence(told); }, 2e-6, "statistics");
    }
}

// Nothing is to be learnt where the codes are standard normal already, whatever the sign of v elsewhere: a
// ReLU before the statistics would leave no row below deviation 1.
TEST_P(ConditionTest, DivergenceRestsAtTheStandardNormalAlone) {
    const auto d = Floats::output(backend(), 4);
    const auto divergence = Floats::output(backend(), 1);
    const auto told = [&](const std::vector<float>& statistics) {
        const auto device = Floats::input(backend(), statistics);
        backend().gaussian_divergence(d.matrix(1, 4), divergence.view(), device.matrix(1, 4), 1);
        return d.values();
    };
    EXPECT_EQ(told({0, 0, 0, 0}), (std::vector<float>{0, 0, 0, 0}));
    EXPECT_EQ(divergence.values()[0], 0);
    const auto pull = told({-1, 1, -2, 2});
    EXPECT_LT(pull[0], 0);
    EXPECT_GT(pull[1], 0);
    EXPECT_LT(pull[2], 0); // a small variance is pulled up
    EXPECT_GT(pull[3], 0);
}

TEST_P(ConditionTest, RowDot) {
    std::uint64_t seed = 1871;
    for (const auto& [rows, width] : sizes) {
        SCOPED_TRACE(describe("rows", rows, "width", width, "seed", seed));
        const auto p = random_values(seed++, rows * width), q = random_values(seed++, rows * width);
        const auto dy = random_values(seed++, rows);
        const auto p_device = Floats::input(backend(), p, 1);
        const auto q_device = Floats::input(backend(), q, 2);
        const auto dy_device = Floats::input(backend(), dy, 3);
        const auto y = Floats::output(backend(), rows, 1);
        backend().row_dot(y.view(), p_device.matrix(rows, width), q_device.matrix(rows, width));
        oracle::DoubleMatrix ps(rows, width, p), qs(rows, width, q);
        expect_close(y.values(), oracle::row_dot(ps, qs),
                     sum_bound(width, static_cast<double>(width)), "y");
        const auto dp = Floats::output(backend(), rows * width, 2);
        const auto dq = Floats::output(backend(), rows * width, 1);
        const auto back = [&](Matrix<float> d_first) {
            backend().row_dot_gradient(d_first, dq.matrix(rows, width), dy_device.view(),
                                       p_device.matrix(rows, width), q_device.matrix(rows, width));
        };
        back({});
        const auto alone = dq.values();
        back(dp.matrix(rows, width));
        EXPECT_EQ(alone, dq.values());
        const auto loss = [&] { return dot(dy, oracle::row_dot(ps, qs)); };
        expect_slopes(ps.values, dp.values(), loss, 1e-6, "p");
        expect_slopes(qs.values, dq.values(), loss, 1e-6, "q");
    }
}

TEST_P(ConditionTest, OtherLabels) {
    const DeviceStep step(backend(), 3, 5, 2);
    for (const std::int64_t classes : {2, 3, 10}) {
        for (const std::int64_t rows : {1, 7, 257}) {
            SCOPED_TRACE(describe("classes", classes, "rows", rows));
            std::vector<std::int32_t> labels, expected;
            const oracle::Stream stream{0xfedcba9876543210, 180, step.value()};
            for (std::int64_t b = 0; b < rows; ++b) {
                labels.push_back(static_cast<std::int32_t>(b * 7 % classes));
                expected.push_back(oracle::other_label(labels.back(), classes,
                                                       stream.word(static_cast<std::uint64_t>(b))));
                EXPECT_NE(labels.back(), expected.back());
            }
            const auto label = GuardedArray<std::int32_t>::input(backend(), labels, 1);
            const auto out = GuardedArray<std::int32_t>::output(backend(), rows, 3);
            backend().other_labels(out.view(), label.view(), classes,
                                   {stream.seed, stream.purpose, step.count()});
            EXPECT_EQ(out.values(), expected);
        }
    }
}

TEST_P(ConditionTest, AgreesWithPyTorch) {
    constexpr std::int64_t rows = 3, width = 4;
    const auto statistics = golden_input(2 * rows * width);
    const auto noise = wave(std::cos, 0.5, 0.1, rows * width);
    const Golden code{3.413263336, 13.630861569, {1.311427375, 1.449280274, 1.269893150}};
    expect_golden(
        oracle::augment_condition({rows, width, noise}, {rows, 2 * width, statistics}).values, code,
        "the oracle's code");
    EXPECT_NEAR(oracle::gaussian_divergence({rows, 2 * width, statistics}), 0.360077739, 1e-9);

    const auto noise_device = Floats::input(backend(), to_float(noise));
    const auto statistics_device = Floats::input(backend(), to_float(statistics));
    const auto g = Floats::input(backend(), to_float(golden_sines(rows * width)));
    const auto y = Floats::output(backend(), rows * width);
    const auto d_noise = Floats::output(backend(), rows * width);
    const auto d_statistics = Floats::output(backend(), 2 * rows * width);
    const auto divergence = Floats::output(backend(), 1);
    const Matrix<float> told = statistics_device.matrix(rows, 2 * width);
    const Matrix<float> d_told = d_statistics.matrix(rows, 2 * width);
    backend().augment_condition(y.matrix(rows, width), noise_device.matrix(rows, width), told);
    expect_golden(y.values(), code, "code");
    backend().augment_condition_gradient(d_noise.matrix(rows, width), d_told, g.matrix(rows, width),
                                         noise_device.matrix(rows, width), told);
    expect_golden(d_statistics.values(),
                  {3.008370984, 6.969729782, {0.841470985, 0.963558185, 0.999573603}},
                  "d_statistics");
    expect_golden(d_noise.values(),
                  {2.215324502, 5.417900707, {0.859148570, 0.709601773, 0.613121874}}, "d_noise");
    backend().gaussian_divergence(d_told, divergence.view(), told, 2);
    EXPECT_NEAR(divergence.values()[0], 0.360077739, 4e-7);
    expect_golden(d_statistics.values(),
                  {0.787851038, 0.208233979, {0.049253368, 0.140245164, 0.165277468}},
                  "d_statistics of 2 divergence");

    const auto p = Floats::input(backend(), to_float(golden_input(rows * width)));
    const auto dy = Floats::input(backend(), to_float(golden_sines(rows)));
    const auto product = Floats::output(backend(), rows);
    const auto dq = Floats::output(backend(), rows * width);
    const Matrix<float> q = noise_device.matrix(rows, width);
    backend().row_dot(product.view(), p.matrix(rows, width), q);
    expect_golden(product.values(),
                  {4.959596048, 8.785236820, {1.418631919, 2.272232409, 1.268731721}}, "dot");
    backend().row_dot_gradient(d_noise.matrix(rows, width), dq.matrix(rows, width), dy.view(),
                               p.matrix(rows, width), q);
    expect_golden(d_noise.values(),
                  {-0.783665797, 5.007895361, {0.837267135, 0.694495973, 0.381687975}}, "dp");
    expect_golden(dq.values(), {1.793624190, 5.480863642, {0.248671679, 0.708073418, 0.834457165}},
                  "dq");
}

} // namespace
} // namespace patchforge::testing
