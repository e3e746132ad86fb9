// FiLM, noise of a learned strength and the batch's deviation as a channel against the oracle, their
// gradients against central differences of it.
#include "tests/kernels/backends.h"
#include "tests/kernels/differences.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/modulate.h"

namespace patchforge::testing {
namespace {

class ModulateTest : public BackendTest {
  protected:
    using Floats = GuardedArray<float>;
};
PATCHFORGE_ON_EVERY_BACKEND(ModulateTest);

struct Case {
    std::int64_t rows;
    Extent extent;
    bool film, noise;
    int epilogue;
};
// One of 66 lines has more than 1024 quads a plane: a block sums it.
constexpr Case cases[] = {
    {1, {1, 1, 1}, true, true, 0},   {3, {5, 7, 7}, true, true, 1},
    {4, {2, 6, 2}, true, false, 3},  {2, {3, 5, 3}, false, true, 2},
    {10, {33, 2, 2}, true, true, 5}, {1, {1, 66, 63}, true, true, 7},
    {2, {3, 4, 4}, false, false, 4},
};

TEST_P(ModulateTest, ForwardAndGradient) {
    std::uint64_t seed = 901;
    for (const Case& c : cases) {
        SCOPED_TRACE(
            describe("rows", c.rows, "extent", c.extent.text(), "film", c.film, "noise", c.noise));
        seed += 10;
        const std::int64_t columns = c.extent.size(), channels = c.extent.channels;
        const int shift = static_cast<int>(c.rows % 4);
        const auto x = random_values(seed, c.rows * columns);
        const auto dy = random_values(seed + 1, c.rows * columns);
        const auto film =
            c.film ? random_values(seed + 2, 2 * c.rows * channels) : std::vector<float>{};
        const auto strength = c.noise ? random_values(seed + 3, channels) : std::vector<float>{};
        const DeviceStep step(backend(), 3, 5, 2);
        const Epilogue epilogue = every_epilogue()[static_cast<std::size_t>(c.epilogue)].at(step);
        const oracle::Epilogue reference(epilogue, step.value());

        const auto x_device = Floats::input(backend(), x, shift);
        const auto film_device = Floats::input(backend(), film, 1);
        const auto strength_device = Floats::input(backend(), strength, 2);
        const Modulation modulation{c.film ? film_device.matrix(c.rows, 2 * channels)
                                           : Matrix<float>{},
                                    strength_device.view(),
                                    {0xfedcba9876543210, 7, step.count()}};
        const auto y = Floats::output(backend(), c.rows * columns, shift);
        backend().modulate(y.matrix(c.rows, columns), x_device.matrix(c.rows, columns), c.extent,
                           modulation, epilogue);

        oracle::DoubleMatrix xs(c.rows, columns, x);
        oracle::DoubleMatrix films(c.film ? c.rows : 0, 2 * channels, film);
        auto strengths = oracle::to_double(strength);
        const oracle::Stream noise{modulation.noise.seed, modulation.noise.purpose, step.value()};
        const auto modulated = [&] {
            return oracle::modulate(xs, c.extent, films, strengths, noise);
        };
        const auto expected = oracle::activate(modulated(), reference);
        std::vector<double> tolerance;
        for (std::size_t e = 0; e < x.size(); ++e) {
            // Numbers of order 1; normal ones, up to 6, lose a few units of their last place.
            tolerance.push_back(epilogue_bound(modulated().values.size() == x.size() ? 4.0 : 0,
                                               3e-6, expected.values[e], epilogue.dropout));
        }
        expect_close(y.values(), expected.values, tolerance, columns, "y");
        const auto in_place = Floats::changing(backend(), x, shift);
        backend().modulate(in_place.matrix(c.rows, columns), in_place.matrix(c.rows, columns),
                           c.extent, modulation, epilogue);
        EXPECT_EQ(in_place.values(), y.values());

        const auto dy_device = Floats::changing(backend(), dy, shift);
        const auto dx = Floats::output(backend(), c.rows * columns, shift);
        const auto d_film = Floats::output(backend(), static_cast<std::int64_t>(film.size()), 3);
        const auto d_strength =
            Floats::output(backend(), static_cast<std::int64_t>(strength.size()), 1);
        const auto sums = GuardedArray<double>::output(backend(), c.noise ? c.rows * channels : 0);
        const auto backward = [&](const Floats& to, bool accumulate) {
            backend().modulate_gradient(
                to.matrix(c.rows, columns),
                c.film ? d_film.matrix(c.rows, 2 * channels) : Matrix<float>{}, d_strength.view(),
                sums.view(), dy_device.matrix(c.rows, columns), x_device.matrix(c.rows, columns),
                c.extent, modulation, epilogue, accumulate);
        };
        backward(dx, false);
        const auto loss = [&] { return dot(dy, modulated().values); };
        expect_slopes(
            xs.values, dx.values(), loss, 2e-5, "x",
            [&](std::size_t e) { return reference.derivative(x[e], e); }, 30);
        expect_slopes(
            films.values, d_film.values(), loss, 2e-5, "film", [](std::size_t) { return 1.0; }, 30);
        expect_slopes(
            strengths, d_strength.values(), loss, 2e-5, "strength", [](std::size_t) { return 1.0; },
            30);
        const auto once = d_strength.values(), once_dx = dx.values();
        backward(dy_device, true); // in place
        EXPECT_EQ(dy_device.values(), once_dx);
        for (std::size_t e = 0; e < once.size(); ++e) {
            EXPECT_FLOAT_EQ(d_strength.values()[e], 2 * once[e]);
        }
    }
}

// The noise belongs to the picture, not to its place in a batch.
TEST_P(ModulateTest, PictureAloneHasItsNoise) {
    const Extent extent{3, 5, 5};
    constexpr std::int64_t rows = 6;
    const std::int64_t columns = extent.size();
    const auto x = Floats::input(backend(), random_values(991, rows * columns));
    const auto strength = Floats::input(backend(), {1, 2, 3});
    const auto together = Floats::output(backend(), rows * columns);
    const auto alone = Floats::output(backend(), rows * columns);
    backend().modulate(together.matrix(rows, columns), x.matrix(rows, columns), extent,
                       {{}, strength.view(), {5, 7, {nullptr, 1, 100}}}, {});
    for (std::uint32_t row = 0; row < rows; ++row) {
        backend().modulate(alone.matrix(rows, columns).row_range(row, 1),
                           x.matrix(rows, columns).row_range(row, 1), extent,
                           {{}, strength.view(), {5, 7, {nullptr, 1, 100 + row}}}, {});
    }
    EXPECT_EQ(alone.values(), together.values());
}

TEST_P(ModulateTest, Deviation) {
    struct {
        std::int64_t rows, group;
        Extent extent;
    } const deviations[] = {{4, 4, {3, 5, 5}},
                            {10, 4, {2, 3, 3}},
                            {8, 4, {33, 1, 1}},
                            {1, 4, {2, 2, 2}},
                            {5, 2, {1, 17, 16}}};
    for (const auto& [rows, group, extent] : deviations) {
        SCOPED_TRACE(describe("rows", rows, "group", group, "extent", extent.text()));
        const std::int64_t columns = extent.size(), wider = columns + extent.plane();
        const auto x = random_values(951, rows * columns);
        const auto dy = random_values(952, rows * wider);
        const auto x_device = Floats::input(backend(), x, 1);
        const auto dy_device = Floats::input(backend(), dy, 2);
        const auto y = Floats::output(backend(), rows * wider, 3);
        const auto dx = Floats::output(backend(), rows * columns, 1);
        backend().append_deviation(y.matrix(rows, wider), x_device.matrix(rows, columns), extent,
                                   group);
        oracle::DoubleMatrix xs(rows, columns, x);
        expect_close(y.values(), oracle::append_deviation(xs, extent, group).values, 4e-7, "y");

        backend().append_deviation_gradient(dx.matrix(rows, columns), dy_device.matrix(rows, wider),
                                            x_device.matrix(rows, columns), extent, group);
        expect_slopes(
            xs.values, dx.values(),
            [&] { return dot(dy, oracle::append_deviation(xs, extent, group).values); }, 2e-5, "x",
            [](std::size_t) { return 1.0; }, 60);
    }
}

} // namespace
} // namespace patchforge::testing
