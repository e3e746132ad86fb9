// The vector functions of the CPU backend against libm in float64, swept densely: within the units
// in the last place that kernels/cpu/vector/math.h states, for every instruction set of this
// machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "tests/kernels/backends.h"

namespace patchforge::testing {
namespace {

double unit_in_last_place(double exact) {
    const auto rounded = static_cast<float>(std::abs(exact));
    const float above = std::nextafter(rounded, std::numeric_limits<float>::infinity());
    return std::max(static_cast<double>(above) - rounded,
                    static_cast<double>(std::numeric_limits<float>::min()));
}

class VectorMathTest : public ::testing::TestWithParam<const char*> {
  protected:
    void SetUp() override {
        if (const std::string reason = why_missing(GetParam()); !reason.empty()) {
            GTEST_SKIP() << reason;
        }
    }

    // The worst error of `activation` over [low, high], in units in the last place.
    void expect_close(Activation activation, const std::function<double(double)>& exact, double low,
                      double high, double limit) {
        constexpr int count = 400'003;
        std::vector<float> x(count);
        for (int i = 0; i < count; ++i) {
            x[i] = static_cast<float>(low + (high - low) * i / (count - 1));
        }
        std::vector<float> y(count, std::numeric_limits<float>::quiet_NaN());
        const auto backend = make_backend_under_test(GetParam(), 1);
        backend->activate({y.data(), 1, count}, {x.data(), 1, count}, {.activation = activation});
        double worst = 0;
        float at = 0;
        for (int i = 0; i < count; ++i) {
            const double truth = exact(x[i]);
            const double error = std::abs(y[i] - truth) / unit_in_last_place(truth);
            if (!(error <= worst)) {
                worst = error;
                at = x[i];
            }
        }
        EXPECT_TRUE(worst <= limit) << worst << " units in the last place at " << at;
    }
};

TEST_P(VectorMathTest, HyperbolicTangent) {
    const auto exact = [](double x) { return std::tanh(x); };
    expect_close(Activation::tanh, exact, -1, 1, 2);
    expect_close(Activation::tanh, exact, -1e-3, 1e-3, 2);
    expect_close(Activation::tanh, exact, -12, 12, 2);
    expect_close(Activation::tanh, exact, -1e30, 1e30, 2);
}

TEST_P(VectorMathTest, Logistic) {
    const auto exact = [](double x) { return 1 / (1 + std::exp(-x)); };
    expect_close(Activation::sigmoid, exact, -1, 1, 3);
    expect_close(Activation::sigmoid, exact, -80, 40, 3);
}

INSTANTIATE_TEST_SUITE_P(Every, VectorMathTest,
                         ::testing::Values("cpu_baseline", "cpu_avx2", "cpu_avx512"),
                         [](const auto& info) { return std::string(info.param); });

} // namespace
} // namespace patchforge::testing
