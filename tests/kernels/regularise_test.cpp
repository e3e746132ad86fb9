// Noise, interpolation, the slope penalty, the L1 term and the running mean, against float64.
#include "tests/kernels/backends.h"
#include "tests/kernels/operands.h"

namespace patchforge::testing {
namespace {

class RegulariseTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(RegulariseTest);

constexpr std::int64_t sizes[] = {1, 2, 31, 33, 257, 7499, 20'000};

// What is added is the level times what fill_normal draws, and the level falls on a line.
TEST_P(RegulariseTest, NoiseOfAFallingLevel) {
    struct Moment {
        std::uint64_t step, end;
        double level;
    };
    for (const std::int64_t size : sizes) {
        for (const auto& [step, end, level] :
             {Moment{7, 0, 0.3}, Moment{0, 40, 0.3}, Moment{10, 40, 0.225}, Moment{40, 40, 0},
              Moment{90, 40, 0}}) {
            SCOPED_TRACE(describe("size", size, "step", step, "end", end));
            const DeviceStep now(backend(), step, 1, 0);
            const RandomStream random{77, 177, now.count()};
            const auto normal = GuardedArray<float>::output(backend(), size, 1);
            backend().fill_normal(normal.view(), 0, 1, random);
            const auto before = random_values(340, size);
            const auto x = GuardedArray<float>::changing(backend(), before, 1);
            backend().add_noise(x.view(), {0.3f, now.count(), end}, random);
            std::vector<double> expected;
            const auto numbers = normal.values();
            for (std::size_t e = 0; e < before.size(); ++e) {
                expected.push_back(before[e] + level * numbers[e]);
            }
            expect_close(x.values(), expected, 6e-7, "x");
        }
    }
}

TEST_P(RegulariseTest, InterpolatesEachRowByItsOwnShare) {
    for (const std::int64_t rows : {1, 2, 5, 33}) {
        for (const std::int64_t columns : {1, 33, 1000}) {
            SCOPED_TRACE(describe("rows", rows, "columns", columns));
            const DeviceStep step(backend(), 5, 3, 2);
            const RandomStream random{78, 176, step.count()};
            const auto share = GuardedArray<float>::output(backend(), rows);
            backend().fill_uniform(share.view(), 0, 1, random);
            const auto shares = share.values();
            const auto a = random_values(341, rows * columns),
                       b = random_values(342, rows * columns);
            const auto a_on_device = GuardedArray<float>::input(backend(), a, 1);
            const auto b_on_device = GuardedArray<float>::input(backend(), b, 2);
            const auto y = GuardedArray<float>::output(backend(), rows * columns, 3);
            backend().interpolate_rows(y.matrix(rows, columns), a_on_device.matrix(rows, columns),
                                       b_on_device.matrix(rows, columns), random);
            std::vector<double> expected;
            for (std::int64_t e = 0; e < rows * columns; ++e) {
                expected.push_back(a[e] + double{shares[e / columns]} * (double{b[e]} - a[e]));
            }
            expect_close(y.values(), expected, 3e-7, "y");
        }
    }
}

TEST_P(RegulariseTest, SlopePenaltyAndItsGradient) {
    for (const std::int64_t rows : {1, 3, 33}) {
        for (const std::int64_t columns : {1, 33, 256, 7500}) {
            SCOPED_TRACE(describe("rows", rows, "columns", columns));
            auto g = random_values(343, rows * columns, -0.05f, 0.05f);
            std::fill_n(g.begin(), columns, 0.0f); // a slope of 0.01 and no direction
            const auto g_on_device = GuardedArray<float>::input(backend(), g, 1);
            const auto u = GuardedArray<float>::output(backend(), rows * columns, 2);
            const auto penalty = GuardedArray<float>::output(backend(), rows, 1);
            backend().penalise_slope(u.matrix(rows, columns), penalty.view(),
                                     g_on_device.matrix(rows, columns), 10);
            std::vector<double> penalties, gradient, tolerance;
            for (std::int64_t r = 0; r < rows; ++r) {
                double squares = 1e-4;
                for (std::int64_t c = 0; c < columns; ++c) {
                    squares += double{g[r * columns + c]} * g[r * columns + c];
                }
                const double slope = std::sqrt(squares);
                penalties.push_back(10 * (slope - 1) * (slope - 1));
                for (std::int64_t c = 0; c < columns; ++c) {
                    gradient.push_back(10 * 2 * (slope - 1) / slope / static_cast<double>(rows) *
                                       g[r * columns + c]);
                    tolerance.push_back(3 * unit_roundoff * std::fabs(gradient.back()));
                }
            }
            expect_close(penalty.values(), penalties, 1e-5, "penalty");
            expect_close(u.values(), gradient, tolerance, columns, "u");
        }
    }
}

TEST_P(RegulariseTest, SignsOfDifferences) {
    for (const std::int64_t size : sizes) {
        SCOPED_TRACE(describe("size", size));
        const auto before = random_values(344, size), y = random_values(345, size);
        auto target = random_values(346, size);
        target[0] = y[0]; // no direction
        const auto d = GuardedArray<float>::changing(backend(), before, 1);
        const auto y_on_device = GuardedArray<float>::input(backend(), y, 2);
        const auto target_on_device = GuardedArray<float>::input(backend(), target, 3);
        backend().add_l1_gradient(d.view(), y_on_device.view(), target_on_device.view(), 0.25f);
        std::vector<double> expected;
        for (std::size_t e = 0; e < before.size(); ++e) {
            expected.push_back(before[e] + 0.25 * ((y[e] > target[e]) - (y[e] < target[e])));
        }
        expect_close(d.values(), expected, 1e-7, "d");
    }
}

TEST_P(RegulariseTest, MeanOfAllValues) {
    for (const std::int64_t size : sizes) {
        SCOPED_TRACE(describe("size", size));
        const auto mean = GuardedArray<float>::changing(
            backend(), std::vector<float>(static_cast<std::size_t>(size), 17), 1);
        std::vector<double> sum(static_cast<std::size_t>(size));
        for (std::uint64_t n = 0; n < 5; ++n) {
            const DeviceStep step(backend(), n, 1, 0);
            const auto value = random_values(350 + n, size);
            const auto on_device = GuardedArray<float>::input(backend(), value, 2);
            backend().running_mean(mean.view(), on_device.view(), step.count());
            std::vector<double> expected;
            for (std::size_t e = 0; e < value.size(); ++e) {
                sum[e] += value[e];
                expected.push_back(sum[e] / static_cast<double>(n + 1));
            }
            // The first value replaces 17, which costs roundings of 17.
            expect_close(mean.values(), expected, 3e-6, "mean");
        }
    }
}

} // namespace
} // namespace patchforge::testing
