// Batch and virtual batch normalisation against the oracle, and their gradients against central
// differences of it.
#include "tests/kernels/backends.h"
#include "tests/kernels/comparison.h"
#include "tests/kernels/differences.h"
#include "tests/kernels/guarded_array.h"
#include "tests/oracle/normalise.h"

namespace patchforge::testing {
namespace {

class NormaliseTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(NormaliseTest);

struct RowsCase {
    std::int64_t reference, others, columns;
};
constexpr RowsCase rows_cases[] = {{1, 0, 1}, {2, 0, 33}, {64, 0, 31}, {10, 0, 257},
                                   {1, 1, 3}, {5, 3, 33}, {33, 7, 65}, {9, 40, 1}};

TEST_P(NormaliseTest, Forward) {
    for (const auto& [reference, others, columns] : rows_cases) {
        SCOPED_TRACE(describe("reference", reference, "others", others, "columns", columns));
        const std::int64_t rows = reference + others;
        const auto z = random_values(301, rows * columns, 1, 3);
        const auto scale = random_values(302, columns, 0.5f, 2);
        const auto shift = random_values(303, columns);
        const auto expected = oracle::normalise({rows, columns, z}, reference,
                                                oracle::to_double(scale), oracle::to_double(shift));

        const auto z_on_device = GuardedArray<float>::input(backend(), z, 1);
        const auto scale_on_device = GuardedArray<float>::input(backend(), scale, 2);
        const auto shift_on_device = GuardedArray<float>::input(backend(), shift, 3);
        const auto y = GuardedArray<float>::output(backend(), rows * columns, 1);
        const auto statistics = GuardedArray<float>::output(backend(), 2 * columns);
        backend().normalise(y.matrix(rows, columns), statistics.matrix(2, columns),
                            z_on_device.matrix(rows, columns), reference, scale_on_device.view(),
                            shift_on_device.view());
        // The results are of order 1; float64 inside, so a few roundings of float32 at the end. A
        // column without variance divides by sqrt(1e-5): 300 times the oracle's cancellation.
        expect_close(y.values(), expected.y.values, 2e-6, "y");
        std::vector<double> both = expected.mean;
        both.insert(both.end(), expected.variance.begin(), expected.variance.end());
        expect_close(statistics.values(), both, 4e-7, "statistics");

        const auto in_place = GuardedArray<float>::changing(backend(), z, 1);
        backend().normalise(in_place.matrix(rows, columns), statistics.matrix(2, columns),
                            in_place.matrix(rows, columns), reference, scale_on_device.view(),
                            shift_on_device.view());
        EXPECT_EQ(in_place.values(), y.values());
    }
}

// With the statistics of a forward pass, evaluation gives what the forward pass gave.
TEST_P(NormaliseTest, Evaluation) {
    for (const auto& [reference, others, columns] : rows_cases) {
        SCOPED_TRACE(describe("reference", reference, "others", others, "columns", columns));
        const std::int64_t rows = reference + others;
        const auto z = GuardedArray<float>::input(backend(), random_values(304, rows * columns), 1);
        const auto scale = GuardedArray<float>::input(backend(), random_values(305, columns));
        const auto shift = GuardedArray<float>::input(backend(), random_values(306, columns));
        const auto trained = GuardedArray<float>::output(backend(), rows * columns);
        const auto statistics = GuardedArray<float>::output(backend(), 2 * columns);
        backend().normalise(trained.matrix(rows, columns), statistics.matrix(2, columns),
                            z.matrix(rows, columns), reference, scale.view(), shift.view());
        const auto expected = trained.values();
        for (const bool own : {false, true}) {
            const std::int64_t first = own ? reference : 0, count = own ? others : reference;
            if (count == 0) {
                continue;
            }
            const auto y = GuardedArray<float>::output(backend(), count * columns, 3);
            backend().normalise_by(
                y.matrix(count, columns), z.matrix(rows, columns).row_range(first, count),
                statistics.matrix(2, columns),
                own ? 1.0f / static_cast<float>(reference + 1) : 0.0f, scale.view(), shift.view());
            const auto begin = expected.begin() + first * columns;
            // The statistics were rounded to float32, and a column without variance has a slope of
            // 300.
            expect_close(y.values(), {begin, begin + count * columns}, 6e-5, "y");
        }
    }
}

TEST_P(NormaliseTest, Gradient) {
    for (const auto& [reference, others, columns] : rows_cases) {
        SCOPED_TRACE(describe("reference", reference, "others", others, "columns", columns));
        const std::int64_t rows = reference + others;
        // Away from a variance of 0, whose slope no finite difference sees.
        const auto z = random_values(307, rows * columns, -2, 2);
        const auto dy = random_values(308, rows * columns);
        const auto scale = random_values(309, columns, 0.5f, 2);
        const auto shift = random_values(310, columns);

        const auto z_on_device = GuardedArray<float>::input(backend(), z, 1);
        const auto dy_on_device = GuardedArray<float>::input(backend(), dy, 2);
        const auto scale_on_device = GuardedArray<float>::input(backend(), scale);
        const auto shift_on_device = GuardedArray<float>::input(backend(), shift);
        const auto y = GuardedArray<float>::output(backend(), rows * columns);
        const auto statistics = GuardedArray<float>::output(backend(), 2 * columns);
        backend().normalise(y.matrix(rows, columns), statistics.matrix(2, columns),
                            z_on_device.matrix(rows, columns), reference, scale_on_device.view(),
                            shift_on_device.view());
        const auto dz = GuardedArray<float>::output(backend(), rows * columns, 1);
        const auto d_scale = GuardedArray<float>::output(backend(), columns, 1);
        const auto d_shift = GuardedArray<float>::output(backend(), columns, 1);
        const auto backward = [&](const GuardedArray<float>& dy_given,
                                  const GuardedArray<float>& dz_wanted, bool accumulate) {
            backend().normalise_gradient(
                dz_wanted.matrix(rows, columns), d_scale.view(), d_shift.view(),
                dy_given.matrix(rows, columns), z_on_device.matrix(rows, columns),
                statistics.matrix(2, columns), reference, scale_on_device.view(), accumulate);
        };
        backward(dy_on_device, dz, false);

        oracle::DoubleMatrix zs(rows, columns, z);
        auto scales = oracle::to_double(scale), shifts = oracle::to_double(shift);
        const auto loss = [&] {
            return dot(dy, oracle::normalise(zs, reference, scales, shifts).y.values);
        };
        if (reference > 1) {
            expect_slopes(zs.values, dz.values(), loss, 2e-5, "z");
        }
        expect_slopes(scales, d_scale.values(), loss, 2e-5, "scale");
        expect_slopes(shifts, d_shift.values(), loss, 2e-5, "shift");

        const auto once_scale = d_scale.values(), once_shift = d_shift.values();
        const auto in_place = GuardedArray<float>::changing(backend(), dy, 2);
        backward(in_place, in_place, true);
        EXPECT_EQ(in_place.values(), dz.values());
        for (std::int64_t c = 0; c < columns; ++c) {
            EXPECT_FLOAT_EQ(d_scale.values()[c], 2 * once_scale[c]);
            EXPECT_FLOAT_EQ(d_shift.values()[c], 2 * once_shift[c]);
        }
    }
}

} // namespace
} // namespace patchforge::testing
