// Reductions in float64 and the bookkeeping of an iteration.
#include "tests/kernels/backends.h"
#include "tests/kernels/operands.h"

namespace patchforge::testing {
namespace {

class ReduceTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(ReduceTest);

// A float32 sum would be off by 1e-7 of the magnitudes; a lost element by 1e-5; float64 by 1e-13.
TEST_P(ReduceTest, Sums) {
    for (const std::int64_t size : {0, 1, 2, 31, 33, 64, 255, 256, 257, 1023, 7500, 65'537}) {
        const int shift = static_cast<int>(size % 4);
        SCOPED_TRACE(describe("size", size, "shift", shift));
        const auto x = random_values(90, size, -1, 3);
        const auto x_on_device = GuardedArray<float>::input(backend(), x, shift);
        const auto sum = GuardedArray<double>::output(backend(), 1);
        const auto squares = GuardedArray<double>::output(backend(), 1);
        backend().sum(sum.view(), x_on_device.view());
        backend().sum_of_squares(squares.view(), x_on_device.view());

        long double exact = 0, exact_squares = 0, magnitude = 0;
        for (const float value : x) {
            exact += value;
            magnitude += std::fabs(value);
            exact_squares += static_cast<long double>(value) * value;
        }
        const double roundings = 1e-15 * (1 + std::sqrt(static_cast<double>(size)));
        expect_close(sum.values(), {static_cast<double>(exact)},
                     roundings * static_cast<double>(magnitude), "sum");
        expect_close(squares.values(), {static_cast<double>(exact_squares)},
                     roundings * static_cast<double>(exact_squares), "sum of squares");
    }
}

TEST_P(ReduceTest, ColumnMeans) {
    for (const std::int64_t rows : {1, 2, 3, 10, 33, 129, 1000}) {
        for (const std::int64_t columns : {1, 2, 31, 33, 256, 257}) {
            SCOPED_TRACE(describe("rows", rows, "columns", columns));
            const auto x = random_values(91, rows * columns, -1, 1.5f);
            const auto x_on_device = GuardedArray<float>::input(backend(), x, 1);
            const auto mean = GuardedArray<float>::output(backend(), columns, 1);
            backend().column_mean(mean.view(), x_on_device.matrix(rows, columns));
            std::vector<double> expected(static_cast<std::size_t>(columns)), tolerance;
            for (std::int64_t e = 0; e < rows * columns; ++e) {
                expected[e % columns] += double{x[e]} / static_cast<double>(rows);
            }
            for (const double value : expected) {
                tolerance.push_back(2 * unit_roundoff * std::fabs(value) + 1e-13);
            }
            expect_close(mean.values(), expected, tolerance, columns, "mean");
        }
    }
    const auto x = random_values(92, 7500 * 3);
    const auto x_on_device = GuardedArray<float>::input(backend(), x);
    const auto mean = GuardedArray<float>::output(backend(), 7500);
    backend().column_mean(mean.view(), x_on_device.matrix(3, 7500));
    EXPECT_NEAR(mean.values()[7499], (double{x[7499]} + x[14999] + x[22499]) / 3, 1e-7);
}

TEST_P(ReduceTest, DeadColumns) {
    for (const std::int64_t rows : {1, 2, 3, 33, 129}) {
        for (const std::int64_t columns : {1, 2, 31, 33, 256, 257, 1025}) {
            SCOPED_TRACE(describe("rows", rows, "columns", columns));
            // Columns 0, 3, 6 ... are dead: negative, zero of both signs. Others live in one row.
            auto x = random_values(93, rows * columns, -1, 0);
            for (std::int64_t column = 0; column < columns; ++column) {
                x[(column % rows) * columns + column] =
                    column % 3 != 0 ? 1e-30f : (column % 2 ? 0.0f : -0.0f);
            }
            const auto x_on_device = GuardedArray<float>::input(backend(), x, 1);
            const auto dead = GuardedArray<float>::output(backend(), 1);
            backend().count_dead_columns(dead.view(), x_on_device.matrix(rows, columns));
            EXPECT_EQ(dead.values()[0], static_cast<float>((columns + 2) / 3));
        }
    }
}

TEST_P(ReduceTest, HistoryIsARing) {
    for (const std::int64_t width : {1, 7, 33, 257}) {
        SCOPED_TRACE(describe("width", width));
        const std::int64_t capacity = 5;
        const std::uint64_t start = (1ull << 33) + 3;
        const auto step = GuardedArray<std::uint64_t>::changing(backend(), {start});
        const auto before = random_values(94, capacity * width);
        const auto history = GuardedArray<float>::changing(backend(), before, 1);
        std::vector<float> expected = before;
        for (std::uint64_t n = 0; n < 3; ++n) {
            const auto metrics = random_values(95 + n, width);
            const auto metrics_on_device = GuardedArray<float>::input(backend(), metrics, 1);
            backend().finish_iteration(step.data(), history.matrix(capacity, width),
                                       metrics_on_device.view());
            std::copy(metrics.begin(), metrics.end(),
                      expected.begin() + static_cast<std::int64_t>((start + n) % capacity) * width);
            EXPECT_EQ(step.values()[0], start + n + 1);
            EXPECT_EQ(history.values(), expected);
        }
    }
}

} // namespace
} // namespace patchforge::testing
