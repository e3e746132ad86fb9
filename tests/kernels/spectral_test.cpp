// Spectral normalisation against the oracle and golden values, its gradient against central differences
// with u and v held constant.
#include "tests/kernels/backends.h"
#include "tests/kernels/differences.h"
#include "tests/kernels/golden.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/spectral.h"

namespace patchforge::testing {
namespace {

class SpectralTest : public BackendTest {
  protected:
    using Floats = GuardedArray<float>;

    struct Layer {
        Layer(Backend& backend, const std::vector<float>& weight,
              const std::vector<float>& u_before, const std::vector<float>& v_before,
              const SpectralMatrix& m)
            : backend_(backend), matrix(m), w(Floats::input(backend, weight, 1)),
              u(Floats::changing(backend, u_before, 2)), v(Floats::changing(backend, v_before, 3)),
              y(Floats::output(backend, m.size(), 1)), sigma(Floats::output(backend, 1)) {}
        void forward(int iterations) const {
            backend_.spectral_normalise(y.view(), sigma.view(), u.view(), v.view(), w.view(),
                                        matrix, iterations);
        }
        void backward(const Floats& d_weight, const Floats& dy, bool accumulate) const {
            backend_.spectral_gradient(d_weight.view(), dy.view(), y.view(), sigma.view(), u.view(),
                                       v.view(), matrix, accumulate);
        }

        Backend& backend_;
        SpectralMatrix matrix;
        Floats w, u, v, y, sigma;
    };
};
PATCHFORGE_ON_EVERY_BACKEND(SpectralTest);

// Linear layers, convolutions, transposed ones.
constexpr SpectralMatrix matrices[] = {{1, 1, 1},   {1, 1, 300}, {1, 40, 1}, {1, 7, 27},
                                       {1, 33, 65}, {5, 3, 16},  {33, 9, 1}, {2, 70, 9}};

TEST_P(SpectralTest, ForwardAndGradient) {
    std::uint64_t seed = 1001;
    for (const SpectralMatrix& m : matrices) {
        for (const int iterations : {0, 1, 3}) {
            SCOPED_TRACE(describe("outer", m.outer, "rows", m.rows, "inner", m.inner, "iterations",
                                  iterations));
            seed += 10;
            const auto weight = random_values(seed, m.size());
            const auto u = oracle::to_float(
                oracle::unit(oracle::to_double(random_values(seed + 1, m.rows, 0.1f, 1))));
            const auto v = oracle::to_float(
                oracle::unit(oracle::to_double(random_values(seed + 2, m.columns(), 0.1f, 1))));
            const Layer layer(backend(), weight, u, v, m);
            layer.forward(iterations);
            auto weights = oracle::to_double(weight);
            const auto expected = oracle::spectral_normalise(weights, oracle::to_double(u),
                                                             oracle::to_double(v), m, iterations);
            const auto sigma = double{layer.sigma.values()[0]};
            EXPECT_NEAR(sigma, expected.sigma, 3e-6 * (1 + std::fabs(expected.sigma)));
            if (iterations == 0) { // evaluation
                EXPECT_EQ(layer.u.values(), u);
                EXPECT_EQ(layer.v.values(), v);
            } else {
                expect_close(layer.u.values(), expected.u, 2e-6, "u");
                expect_close(layer.v.values(), expected.v, 2e-6, "v");
            }
            for (std::size_t e = 0; e < weight.size(); ++e) {
                const double y = weight[e] / sigma;
                EXPECT_NEAR(layer.y.values()[e], y, 2e-7 * std::fabs(y)) << e;
            }

            const auto dy = random_values(seed + 3, m.size());
            const auto dy_device = Floats::input(backend(), dy, 2);
            const auto d_weight = Floats::output(backend(), m.size(), 3);
            layer.backward(d_weight, dy_device, false);
            const auto loss = [&] {
                return dot(dy, oracle::spectral_normalise(weights, expected.u, expected.v, m, 0).y);
            };
            // Small sigmas make large gradients of opposite signs.
            const double scale = 1 + 1 / (expected.sigma * expected.sigma);
            expect_slopes(
                weights, d_weight.values(), loss, 2e-5 * scale, "weight",
                [](std::size_t) { return 1.0; }, 40);
            const auto once = d_weight.values();
            layer.backward(d_weight, dy_device, true);
            for (std::size_t e = 0; e < once.size(); ++e) {
                EXPECT_NEAR(d_weight.values()[e], 2 * once[e], 1e-6 * (1 + std::fabs(once[e])));
            }
        }
    }
}

TEST_P(SpectralTest, GoldenValues) {
    const SpectralMatrix m{1, 3, 8};
    auto weight = wave(std::cos, .5, .1, 24);
    for (int i = 0; i < 24; ++i) {
        weight[static_cast<std::size_t>(i)] += .1 * (7 * i % 11 - 5);
    }
    const std::vector<double> u{1 / std::sqrt(14), 2 / std::sqrt(14), 3 / std::sqrt(14)};
    const std::vector<double> v(8, std::sqrt(.125));
    struct {
        int iterations;
        double sigma;
        std::vector<double> u;
    } const known[] = {{1, 1.953560948221, {-.382974870, .270411594, .883293733}},
                       {5, 2.486866916801, {-.761424537, .441298565, .474856031}}};
    for (const auto& [iterations, sigma, u_after] : known) {
        const auto reference = oracle::spectral_normalise(weight, u, v, m, iterations);
        EXPECT_NEAR(reference.sigma, sigma, 1e-9);
        const Layer layer(backend(), oracle::to_float(weight), oracle::to_float(u),
                          oracle::to_float(v), m);
        layer.forward(iterations);
        EXPECT_NEAR(layer.sigma.values()[0], sigma, 2e-6);
        expect_close(layer.u.values(), u_after, 2e-6, "u");
        if (iterations == 1) {
            expect_golden(layer.v.values(),
                          {Golden::unknown, Golden::unknown, {-.562486126, .102983251}}, "v");
            const auto dy = Floats::input(backend(), oracle::to_float(golden_sines(24)));
            const auto d_weight = Floats::output(backend(), 24);
            layer.backward(d_weight, dy, false);
            expect_golden(d_weight.values(),
                          {.767535102, 5.113280179, {.621885035, .458235198, .637659817}},
                          "d_weight");
        }
    }
    // Many iterations reach the largest singular value, and evaluation finds it there.
    const Layer layer(backend(), oracle::to_float(weight), oracle::to_float(u), oracle::to_float(v),
                      m);
    layer.forward(200);
    EXPECT_NEAR(layer.sigma.values()[0], 2.631165850, 2e-6);
    layer.forward(0);
    EXPECT_NEAR(layer.sigma.values()[0], 2.631165850, 2e-6);
}

} // namespace
} // namespace patchforge::testing
