// Stain jitter against the oracle, its gradient against central differences of it.
#include "tests/kernels/backends.h"
#include "tests/kernels/differences.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/stain.h"

namespace patchforge::testing {
namespace {

class StainTest : public BackendTest {
  protected:
    using Floats = GuardedArray<float>;
};
PATCHFORGE_ON_EVERY_BACKEND(StainTest);

TEST_P(StainTest, ForwardAndGradient) {
    for (const PixelRange range : {PixelRange::unit, PixelRange::signed_unit}) {
        for (const std::int64_t plane : {1, 25, 49, 300}) {
            SCOPED_TRACE(describe("range", static_cast<int>(range), "pixels", plane));
            constexpr std::int64_t rows = 3;
            const std::int64_t columns = 3 * plane;
            const bool unit = range == PixelRange::unit;
            const DeviceStep step(backend(), 3, 5, 2);
            const StainJitter jitter{0.2f, 0.05f, range, {0xfedcba9876543210, 163, step.count()}};
            auto x = random_values(961, rows * columns, unit ? 0.05f : -0.9f, 1);
            const auto dy = random_values(962, rows * columns);
            const auto x_device = Floats::input(backend(), x, 1);
            const auto y = Floats::output(backend(), rows * columns, 2);
            backend().jitter_stain(y.matrix(rows, columns), x_device.matrix(rows, columns), jitter);
            oracle::DoubleMatrix xs(rows, columns, x);
            expect_close(y.values(), oracle::jitter_stain(xs, jitter, step.value()).values, 2e-6,
                         "y");

            const auto dx = Floats::changing(backend(), dy, 3);
            backend().jitter_stain_gradient(dx.matrix(rows, columns), dx.matrix(rows, columns),
                                            x_device.matrix(rows, columns), jitter);
            // Away from where p' is cut to 1, whose slope no difference sees: those are few.
            expect_slopes(
                xs.values, dx.values(),
                [&] { return dot(dy, oracle::jitter_stain(xs, jitter, step.value()).values); },
                3e-5, "x", [](std::size_t) { return 1.0; }, 60);
            const auto in_place = Floats::changing(backend(), x, 1);
            backend().jitter_stain(in_place.matrix(rows, columns), in_place.matrix(rows, columns),
                                   jitter);
            EXPECT_EQ(in_place.values(), y.values());
        }
    }
}

// Without jitter a picture stays what it is; black, whose density is finite by definition, among it.
TEST_P(StainTest, NoJitterChangesNothing) {
    const auto pixels = random_values(971, 3 * 64, 0, 1);
    auto values = pixels;
    values[5] = 0;
    values[70] = 1;
    const auto x = Floats::input(backend(), values);
    const auto y = Floats::output(backend(), 3 * 64), dx = Floats::output(backend(), 3 * 64);
    backend().jitter_stain(y.matrix(1, 192), x.matrix(1, 192), {0, 0, PixelRange::unit, {}});
    expect_close(y.values(), oracle::to_double(values), 2e-6, "y");
    const auto ones = Floats::input(backend(), std::vector<float>(192, 1));
    backend().jitter_stain_gradient(dx.matrix(1, 192), ones.matrix(1, 192), x.matrix(1, 192),
                                    {0, 0, PixelRange::unit, {}});
    EXPECT_EQ(dx.values()[5], 0);
    EXPECT_NEAR(dx.values()[6], 1, 1e-5);
}

// skimage's value for a pixel.
TEST(StainOracle, SeparatesAsSkimageDoes) {
    const oracle::Triple stains = oracle::separate_stains({.6, .4, .7});
    EXPECT_NEAR(stains[0], .049527339, 1e-9);
    EXPECT_NEAR(stains[1], .025597543, 1e-9);
    EXPECT_NEAR(stains[2], .011074789, 1e-9);
}

} // namespace
} // namespace patchforge::testing
