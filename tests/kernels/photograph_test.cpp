// What a camera makes of pictures, against the oracle; its gradient as the transpose of what it does.
#include "tests/kernels/backends.h"
#include "tests/kernels/differences.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/photograph.h"

namespace patchforge::testing {
namespace {

using Floats = GuardedArray<float>;

class PhotographTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(PhotographTest);

constexpr Extent extents[] = {{3, 13, 9}, {1, 1, 1}, {2, 1, 7}, {1, 17, 16}, {3, 8, 8}};

TEST_P(PhotographTest, ForwardAndGradient) {
    for (const Extent extent : extents) {
        for (const Photograph& of :
             {Photograph{0.2f, 1.5f, 2, 0.3f, {}}, Photograph{0.5f, 0, 0, 0, {}},
              Photograph{0, 3, 0, 0, {}}, Photograph{0, 0, 5, 0, {}}}) {
            SCOPED_TRACE(describe("extent", extent.text(), "scale", of.scale, "shift", of.shift,
                                  "blur", of.blur));
            constexpr std::int64_t rows = 3;
            const std::int64_t columns = extent.size();
            const DeviceStep step(backend(), 3, 5, 2);
            Photograph how = of;
            how.random = {0xfedcba9876543210, 130, step.count()};
            const auto x = random_values(981, rows * columns, 0, 1);
            const auto dy = random_values(982, rows * columns);
            const auto x_device = Floats::input(backend(), x, 1);
            const auto y = Floats::output(backend(), rows * columns, 2);
            backend().photograph(y.matrix(rows, columns), x_device.matrix(rows, columns), extent,
                                 how);
            oracle::DoubleMatrix xs(rows, columns, x);
            // A position of float32 is off by a few 2^-24 of the picture's size, a weight as far.
            expect_close(y.values(), oracle::photograph(xs, extent, how, step.value()).values, 2e-5,
                         "y");

            const auto dy_device = Floats::input(backend(), dy, 3);
            const auto dx = Floats::output(backend(), rows * columns, 1);
            backend().photograph_gradient(dx.matrix(rows, columns), dy_device.matrix(rows, columns),
                                          extent, how);
            expect_slopes(
                xs.values, dx.values(),
                [&] { return dot(dy, oracle::photograph(xs, extent, how, step.value()).values); },
                5e-5, "x", [](std::size_t) { return 1.0; }, 40);
            // <dy, P x> = <P^T dy, x>, both as computed here: no element of either is left out.
            double through = 0, size = 0;
            for (std::size_t e = 0; e < x.size(); ++e) {
                through += double{dx.values()[e]} * x[e] - double{dy[e]} * y.values()[e];
                size += std::fabs(double{dy[e]} * y.values()[e]);
            }
            EXPECT_FALSE(!(std::fabs(through) <= 1e-5 * (1 + size)));
        }
    }
}

TEST_P(PhotographTest, NoChangeGivesThePicture) {
    const Extent extent{2, 7, 5};
    const auto x = random_values(983, 3 * 70, 0, 1);
    const auto x_device = Floats::input(backend(), x);
    const auto y = Floats::output(backend(), 3 * 70), dx = Floats::output(backend(), 3 * 70);
    backend().photograph(y.matrix(3, 70), x_device.matrix(3, 70), extent, {});
    EXPECT_EQ(y.values(), x);
    backend().photograph_gradient(dx.matrix(3, 70), x_device.matrix(3, 70), extent, {});
    EXPECT_EQ(dx.values(), x);
}

TEST_P(PhotographTest, BlocksAreRounded) {
    for (const Extent extent : extents) {
        for (const int lowest : {10, 75, 100}) {
            SCOPED_TRACE(describe("extent", extent.text(), "quality from", lowest));
            constexpr std::int64_t rows = 3;
            const std::int64_t columns = extent.size();
            const DeviceStep step(backend(), 2, 1, 0);
            const BlockRounding how{lowest, {77, 131, step.count()}};
            const auto x = random_values(984, rows * columns, 0, 1);
            const auto x_device = Floats::input(backend(), x, 1);
            const auto y = Floats::output(backend(), rows * columns, 2);
            backend().round_blocks(y.matrix(rows, columns), x_device.matrix(rows, columns), extent,
                                   how);
            oracle::DoubleMatrix nearest(rows, columns);
            const auto expected =
                oracle::round_blocks({rows, columns, x}, extent, how, step.value(), nearest);
            std::size_t certain = 0;
            const auto values = y.values();
            for (std::size_t e = 0; e < values.size(); ++e) {
                if (nearest.values[e] > 1e-3) {
                    ++certain;
                    EXPECT_FALSE(!(std::fabs(values[e] - expected.values[e]) <= 2e-6)) << e;
                }
            }
            EXPECT_GT(certain, values.size() / 2);
        }
    }
}

} // namespace
} // namespace patchforge::testing
