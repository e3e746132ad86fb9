// Pixels of attacks against the oracle, and what must hold exactly: ball, box, eps = 0.
#include <limits>

#include "tests/kernels/backends.h"
#include "tests/kernels/comparison.h"
#include "tests/kernels/guarded_array.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/perturb.h"

namespace patchforge::testing {
namespace {

class PerturbTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(PerturbTest);

const std::vector<std::pair<std::int64_t, std::int64_t>> shapes{
    {1, 1}, {2, 31}, {3, 33}, {5, 257}, {2, 1023}, {3, 1024}, {1, 7499}, {2, 7500}};

// Bytes as pixels, with black and white among them.
std::vector<float> grid_pixels(std::uint64_t seed, std::int64_t count) {
    std::vector<float> x = random_values(seed, count, 0, 1);
    for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = i % 7 == 0 ? 0.0f : i % 7 == 1 ? 1.0f : std::floor(x[i] * 255.0f) / 255.0f;
    }
    return x;
}

// Directions with zeros of both signs, and a whole row of them.
std::vector<float> some_directions(std::uint64_t seed, std::int64_t rows, std::int64_t columns) {
    std::vector<float> d = random_values(seed, rows * columns, -2, 2);
    for (std::size_t i = 0; i < d.size(); i += 5) {
        d[i] = i % 2 ? 0.0f : -0.0f;
    }
    if (rows > 2) {
        std::fill_n(d.begin() + columns, columns, 0.0f);
    }
    return d;
}

struct Rule {
    StepRule step;
    Ball ball;
    const char* name;
};
const std::vector<Rule> rules{
    {StepRule::sign, Ball::linf, "sign, linf"},   {StepRule::plain, Ball::linf, "plain, linf"},
    {StepRule::unit_l2, Ball::linf, "l2, linf"},  {StepRule::unit_l2, Ball::l2, "l2, l2"},
    {StepRule::unit_l1, Ball::l1, "l1, l1"},      {StepRule::sign, Ball::l2, "sign, l2"},
    {StepRule::plain, Ball::none, "plain, none"}, {StepRule::unit_l1, Ball::none, "l1, none"}};

TEST_P(PerturbTest, Steps) {
    for (const auto& [rows, columns] : shapes) {
        for (const Rule& rule : rules) {
            for (const double alpha : {2.0 / 255, -0.3, 0.0}) {
                const bool in_place = alpha < 0;
                const int shift = static_cast<int>(columns % 3);
                SCOPED_TRACE(describe("rows", rows, "columns", columns, "rule", rule.name, "alpha",
                                      alpha, "in place", in_place));
                const auto x0 = grid_pixels(1, rows * columns);
                const auto d = some_directions(2, rows, columns);
                // Starts a little off the origin, sometimes outside the box.
                std::vector<float> x = random_values(3, rows * columns, -0.02f, 0.02f);
                for (std::size_t i = 0; i < x.size(); ++i) {
                    x[i] += x0[i];
                }
                std::vector<float> budget, size;
                for (std::int64_t r = 0; r < rows; ++r) {
                    budget.push_back(static_cast<float>(r + 1) * 4 / 255.0f);
                    size.push_back(static_cast<float>(alpha * static_cast<double>(r + 1)));
                }
                const auto origin = GuardedArray<float>::input(backend(), x0, shift);
                const auto direction = GuardedArray<float>::input(backend(), d, shift);
                const auto epsilon = GuardedArray<float>::input(backend(), budget);
                const auto alphas = GuardedArray<float>::input(backend(), size);
                const auto y = in_place
                                   ? GuardedArray<float>::changing(backend(), x, shift)
                                   : GuardedArray<float>::output(backend(), rows * columns, shift);
                const auto from = GuardedArray<float>::input(backend(), x, shift);
                Matrix<const float> along = direction.matrix(rows, columns);
                Matrix<const float> centre = origin.matrix(rows, columns);
                backend().perturb_step(y.matrix(rows, columns),
                                       (in_place ? y : from).matrix(rows, columns),
                                       alpha == 0 ? Matrix<const float>() : along,
                                       rule.ball == Ball::none ? Matrix<const float>() : centre,
                                       alpha == 0 ? RowValue{0} : RowValue{0, alphas.data()},
                                       {0, epsilon.data()}, rule.step, rule.ball);
                const std::vector<float> result = y.values();
                std::vector<double> expected;
                for (std::int64_t r = 0; r < rows; ++r) {
                    const auto i = static_cast<std::size_t>(r);
                    const auto one = oracle::perturb_step(
                        row_of(x, r, columns), row_of(d, r, columns), row_of(x0, r, columns),
                        alpha == 0 ? 0.0 : static_cast<double>(size[i]), budget[i], rule.step,
                        rule.ball);
                    expected.insert(expected.end(), one.begin(), one.end());
                    // What no rounding may break.
                    std::vector<double> change;
                    for (std::int64_t c = 0; c < columns; ++c) {
                        const auto e = static_cast<std::size_t>(r * columns + c);
                        ASSERT_TRUE(result[e] >= 0 && result[e] <= 1) << e;
                        change.push_back(static_cast<double>(result[e]) -
                                         static_cast<double>(x0[e]));
                        if (rule.ball == Ball::linf) {
                            ASSERT_LE(std::fabs(change.back()), static_cast<double>(budget[i]))
                                << e;
                        }
                    }
                    if (rule.ball == Ball::l2 || rule.ball == Ball::l1) {
                        EXPECT_LE(
                            oracle::norm_of(change, rule.ball == Ball::l2 ? Norm::l2 : Norm::l1),
                            budget[i]);
                    }
                }
                // 2^-20 of the radial projection, and some roundings of numbers up to 1.
                expect_close(result, expected, std::vector<double>(expected.size(), 4e-7), columns,
                             "y");
            }
        }
    }
}

// Every byte, every radius in levels and some that are no whole levels: within the ball as real
// numbers, and as far as the ball allows but for one unit in the last place.
TEST_P(PerturbTest, BallHoldsExactlyAndIsUsedUp) {
    std::vector<float> x0;
    for (int v = 0; v <= 255; ++v) {
        x0.push_back(static_cast<float>(v) / 255.0f);
    }
    const auto origin = GuardedArray<float>::input(backend(), x0);
    for (const float epsilon : {0.0f, 1e-6f, 1 / 255.0f, 0.01f, 8 / 255.0f, 0.1f, 0.5f, 1.0f}) {
        for (const float direction : {1.0f, -1.0f}) {
            const auto d =
                GuardedArray<float>::input(backend(), std::vector<float>(256, direction));
            const auto y = GuardedArray<float>::output(backend(), 256);
            backend().perturb_step(y.matrix(1, 256), origin.matrix(1, 256), d.matrix(1, 256),
                                   origin.matrix(1, 256), {2 * epsilon}, {epsilon}, StepRule::sign,
                                   Ball::linf);
            const std::vector<float> result = y.values();
            for (std::size_t i = 0; i < 256; ++i) {
                const double change = static_cast<double>(result[i]) - static_cast<double>(x0[i]);
                ASSERT_LE(std::fabs(change), static_cast<double>(epsilon)) << i << " " << epsilon;
                const double bound = std::clamp(static_cast<double>(x0[i]) +
                                                    static_cast<double>(direction) * epsilon,
                                                0.0, 1.0);
                ASSERT_LE(std::fabs(result[i] - bound), 0x1p-23) << i << " " << epsilon;
                if (epsilon == 0) {
                    ASSERT_EQ(result[i], x0[i]);
                }
            }
        }
    }
}

TEST_P(PerturbTest, NotFiniteBecomesTheOrigin) {
    const float bad[] = {NAN, INFINITY, -INFINITY, 1e38f};
    for (const Rule& rule : rules) {
        SCOPED_TRACE(rule.name);
        const auto x0 = GuardedArray<float>::input(backend(), {0.25f, 0.5f, 0.75f, 0.5f});
        const auto d = GuardedArray<float>::input(backend(), {bad, bad + 4});
        const auto y = GuardedArray<float>::output(backend(), 4);
        backend().perturb_step(y.matrix(1, 4), x0.matrix(1, 4), d.matrix(1, 4), x0.matrix(1, 4),
                               {0.1f}, {0.2f}, rule.step, rule.ball);
        for (const float v : y.values()) {
            EXPECT_TRUE(v >= 0 && v <= 1) << v;
        }
        if (rule.step == StepRule::unit_l2 || rule.step == StepRule::unit_l1) {
            EXPECT_EQ(y.values(), (std::vector<float>{0.25f, 0.5f, 0.75f, 0.5f}));
        }
    }
}

TEST_P(PerturbTest, Norms) {
    for (const auto& [rows, columns] : shapes) {
        for (const Norm norm : {Norm::l1, Norm::l2, Norm::linf}) {
            for (const bool difference : {false, true}) {
                SCOPED_TRACE(
                    describe("rows", rows, "columns", columns, "norm", static_cast<int>(norm)));
                const auto a = random_values(4, rows * columns),
                           b = random_values(5, rows * columns);
                const auto first = GuardedArray<float>::input(backend(), a, 1);
                const auto second = GuardedArray<float>::input(backend(), b);
                const auto out = GuardedArray<float>::output(backend(), rows);
                Matrix<const float> other = second.matrix(rows, columns);
                backend().row_norms(out.view(), first.matrix(rows, columns),
                                    difference ? other : Matrix<const float>(), norm);
                std::vector<double> expected, tolerance;
                for (std::int64_t r = 0; r < rows; ++r) {
                    std::vector<double> d = row_of(a, r, columns);
                    const std::vector<double> minus = row_of(b, r, columns);
                    for (std::size_t i = 0; difference && i < d.size(); ++i) {
                        d[i] -= minus[i];
                    }
                    expected.push_back(oracle::norm_of(d, norm));
                    tolerance.push_back(2 * unit_roundoff * expected.back());
                }
                expect_close(out.values(), expected, tolerance, 1, "norm");
            }
        }
    }
}

TEST_P(PerturbTest, NormsKeepNotANumber) {
    std::vector<float> values(300, 0.5f);
    values[170] = NAN;
    const auto a = GuardedArray<float>::input(backend(), values);
    for (const Norm norm : {Norm::l1, Norm::l2, Norm::linf}) {
        const auto out = GuardedArray<float>::output(backend(), 1);
        backend().row_norms(out.view(), a.matrix(1, 300), {}, norm);
        EXPECT_TRUE(std::isnan(out.values()[0])) << static_cast<int>(norm);
    }
}

TEST_P(PerturbTest, MomentumAndDistanceGradient) {
    for (const auto& [rows, columns] : shapes) {
        SCOPED_TRACE(describe("rows", rows, "columns", columns));
        const auto m = random_values(6, rows * columns), x = random_values(8, rows * columns);
        const auto g = some_directions(7, rows, columns), x0 = random_values(9, rows * columns);
        const auto momentum = GuardedArray<float>::changing(backend(), m);
        const auto gradient = GuardedArray<float>::input(backend(), g, 2);
        backend().accumulate_direction(momentum.matrix(rows, columns),
                                       gradient.matrix(rows, columns), 0.9f);
        const auto penalty = GuardedArray<float>::changing(backend(), g);
        const auto present = GuardedArray<float>::input(backend(), x);
        const auto origin = GuardedArray<float>::input(backend(), x0);
        std::vector<float> weights;
        for (std::int64_t r = 0; r < rows; ++r) {
            weights.push_back(0.1f * static_cast<float>(r));
        }
        const auto weight = GuardedArray<float>::input(backend(), weights);
        backend().add_distance_gradient(penalty.matrix(rows, columns),
                                        present.matrix(rows, columns), origin.matrix(rows, columns),
                                        {0, weight.data()});
        std::vector<double> expected, with_penalty;
        for (std::int64_t r = 0; r < rows; ++r) {
            const double norm = oracle::norm_of(row_of(g, r, columns), Norm::l1);
            for (std::int64_t c = 0; c < columns; ++c) {
                const auto e = static_cast<std::size_t>(r * columns + c);
                expected.push_back(0.9f * static_cast<double>(m[e]) + (norm > 0 ? g[e] / norm : 0));
                with_penalty.push_back(g[e] + 2.0 * weights[static_cast<std::size_t>(r)] *
                                                  (static_cast<double>(x[e]) - x0[e]));
            }
        }
        expect_close(momentum.values(), expected, 3e-7, "momentum");
        expect_close(penalty.values(), with_penalty, 8e-7, "penalty");
    }
}

TEST_P(PerturbTest, AffineAndWeightedSum) {
    for (const std::int64_t count : {1, 31, 257, 7499, 16385}) {
        const auto a = random_values(10, count), b = random_values(11, count),
                   c = random_values(12, count);
        const auto first = GuardedArray<float>::input(backend(), a);
        const auto second = GuardedArray<float>::input(backend(), b, 1);
        const auto third = GuardedArray<float>::input(backend(), c);
        const auto scaled = GuardedArray<float>::output(backend(), count);
        backend().affine(scaled.view(), first.view(), 2, -1);
        const auto sum = GuardedArray<float>::changing(backend(), b);
        backend().weighted_sum(sum.view(), first.view(), 0.5f, sum.view(), 0.75f, third.view(),
                               -0.25f);
        const auto two = GuardedArray<float>::output(backend(), count);
        backend().weighted_sum(two.view(), first.view(), 0.5f, second.view(), 3, {}, 7);
        std::vector<double> e1, e2, e3;
        for (std::size_t i = 0; i < a.size(); ++i) {
            e1.push_back(2.0 * a[i] - 1);
            e2.push_back(0.5 * a[i] + 0.75 * b[i] - 0.25 * c[i]);
            e3.push_back(0.5 * a[i] + 3.0 * b[i]);
        }
        expect_close(scaled.values(), e1, 2e-7, "affine");
        expect_close(sum.values(), e2, 2e-7, "three");
        expect_close(two.values(), e3, 4e-7, "two");
    }
}

TEST_P(PerturbTest, RoundingOntoTheGrid) {
    for (const auto& [rows, columns] : shapes) {
        for (const float threshold : {0.5f, 0.8f, 1.5f}) {
            for (const bool on_grid : {true, false}) {
                SCOPED_TRACE(describe("rows", rows, "columns", columns, "threshold", threshold,
                                      "on grid", on_grid));
                const auto x0 = on_grid ? grid_pixels(13, rows * columns)
                                        : random_values(13, rows * columns, 0, 1);
                std::vector<float> budgets;
                for (std::int64_t r = 0; r < rows; ++r) {
                    budgets.push_back(static_cast<float>(3 * r) / 255.0f);
                }
                std::vector<float> x = random_values(14, rows * columns, -1, 1);
                for (std::size_t e = 0; e < x.size(); ++e) {
                    const float eps = budgets[e / static_cast<std::size_t>(columns)];
                    x[e] = std::clamp(x0[e] + x[e] * eps, 0.0f, 1.0f);
                }
                const auto present = GuardedArray<float>::input(backend(), x);
                const auto origin = GuardedArray<float>::input(backend(), x0);
                const auto epsilon = GuardedArray<float>::input(backend(), budgets);
                const auto out = GuardedArray<std::uint8_t>::output(backend(), rows * columns);
                backend().round_to_grid(out.matrix(rows, columns), present.matrix(rows, columns),
                                        origin.matrix(rows, columns), {0, epsilon.data()},
                                        {threshold});
                const std::vector<std::uint8_t> levels = out.values();
                for (std::size_t e = 0; e < x.size(); ++e) {
                    const float eps = budgets[e / static_cast<std::size_t>(columns)];
                    const int expected = oracle::grid_level(x[e], x0[e], eps, threshold);
                    if (on_grid) {
                        const int level = static_cast<int>(std::lround(255 * x0[e]));
                        ASSERT_LE(std::abs(levels[e] - level), std::lround(255 * eps)) << e;
                        if (eps == 0) {
                            ASSERT_EQ(levels[e], level) << e;
                        }
                    }
                    // float32 may fall on the other side of the threshold, one level away.
                    const double rest = std::fabs(255.0 * x[e] - std::nearbyint(255.0 * x[e]));
                    const double to_threshold =
                        std::min(std::fabs(rest - threshold), std::fabs(rest - (1 - threshold)));
                    if (to_threshold > 1e-3 && rest > 2e-3) {
                        ASSERT_EQ(int{levels[e]}, expected) << e << ": " << 255 * x[e] << " from "
                                                            << 255 * x0[e] << " eps " << 255 * eps;
                    }
                }
            }
        }
    }
}

TEST_P(PerturbTest, RowsMove) {
    for (const std::int64_t columns : {1, 33, 7500}) {
        const auto in = random_values(15, 5 * columns);
        const auto from = GuardedArray<float>::input(backend(), in);
        const auto index = GuardedArray<std::int32_t>::input(backend(), {4, -1, 0});
        const auto selected = GuardedArray<float>::changing(
            backend(), std::vector<float>(static_cast<std::size_t>(3 * columns), 7));
        backend().select_rows(selected.matrix(3, columns), from.matrix(5, columns), index.view());
        const auto placed = GuardedArray<float>::changing(
            backend(), std::vector<float>(static_cast<std::size_t>(5 * columns), 7));
        backend().place_rows(placed.matrix(5, columns), from.matrix(5, columns).row_range(0, 3),
                             index.view());
        const auto s = selected.values(), p = placed.values();
        for (std::int64_t c = 0; c < columns; ++c) {
            const auto at = [&](const std::vector<float>& m, std::int64_t row) {
                return m[static_cast<std::size_t>(row * columns + c)];
            };
            ASSERT_EQ(at(s, 0), at(in, 4));
            ASSERT_EQ(at(s, 1), 7);
            ASSERT_EQ(at(s, 2), at(in, 0));
            ASSERT_EQ(at(p, 4), at(in, 0));
            ASSERT_EQ(at(p, 0), at(in, 2));
            for (const std::int64_t row : {1, 2, 3}) {
                ASSERT_EQ(at(p, row), 7);
            }
        }
    }
}

} // namespace
} // namespace patchforge::testing
