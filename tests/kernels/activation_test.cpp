// Activations, their derivatives and dropout against the oracle.
#include "tests/kernels/backends.h"
#include "tests/kernels/operands.h"

namespace patchforge::testing {
namespace {

class ActivationTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(ActivationTest);

const std::vector<std::pair<std::int64_t, std::int64_t>> shapes{
    {1, 1},   {1, 31},  {2, 33},   {3, 255},  {7, 257},
    {31, 64}, {129, 2}, {3, 7499}, {10, 256}, {1, 7500}};

// Small, large, huge, zero of both signs.
std::vector<float> values_of_every_size(std::uint64_t seed, std::int64_t count) {
    std::vector<float> z = random_values(seed, count, -4, 4);
    const std::vector<float> special{0,  -0.0f, 1e-30f, -1e-30f, 1e-4f, -1e-4f, 9,     -9,
                                     20, -20,   87,     -87,     200,   -200,   1e30f, -1e30f};
    for (std::size_t e = 0; e < special.size() && 2 * e < z.size(); ++e) {
        z[2 * e] = special[e];
    }
    return z;
}

TEST_P(ActivationTest, Values) {
    for (const auto& [rows, columns] : shapes) {
        for (const NamedEpilogue& named : every_epilogue()) {
            for (const bool in_place : {false, true}) {
                const int shift = static_cast<int>(rows % 4);
                SCOPED_TRACE(describe("rows", rows, "columns", columns, "epilogue", named.name,
                                      "in place", in_place, "shift", shift));
                const auto z = values_of_every_size(7, rows * columns);
                const DeviceStep step(backend(), 3, 5, 2);
                const oracle::Epilogue epilogue(named.at(step), step.value());
                const auto y = in_place
                                   ? GuardedArray<float>::changing(backend(), z, shift)
                                   : GuardedArray<float>::output(backend(), rows * columns, shift);
                const auto z_on_device = GuardedArray<float>::input(backend(), z, shift);
                backend().activate(y.matrix(rows, columns),
                                   (in_place ? y : z_on_device).matrix(rows, columns),
                                   named.at(step));

                const oracle::DoubleMatrix expected =
                    oracle::activate(oracle::DoubleMatrix(rows, columns, z), epilogue);
                std::vector<double> tolerance;
                for (std::size_t e = 0; e < z.size(); ++e) {
                    tolerance.push_back(epilogue.keeps(e)
                                            ? epilogue_bound(std::min(std::fabs(z[e]), 100.0f), 0,
                                                             expected.values[e], named.dropout)
                                            : 0);
                }
                expect_close(y.values(), expected.values, tolerance, columns, "y");
            }
        }
    }
}

TEST_P(ActivationTest, OfSums) {
    for (const auto& [rows, columns] : shapes) {
        for (const NamedEpilogue& named : every_epilogue()) {
            SCOPED_TRACE(describe("rows", rows, "columns", columns, "epilogue", named.name));
            const auto a = random_values(17, rows * columns, -2, 2);
            const auto b = random_values(18, rows * columns, -2, 2);
            const DeviceStep step(backend(), 3, 5, 2);
            const oracle::Epilogue epilogue(named.at(step), step.value());
            const auto a_on_device = GuardedArray<float>::input(backend(), a, 1);
            const auto y = GuardedArray<float>::changing(backend(), b, 3);
            backend().activate_sum(y.matrix(rows, columns), a_on_device.matrix(rows, columns),
                                   y.matrix(rows, columns), named.at(step));
            std::vector<double> expected, tolerance;
            for (std::size_t e = 0; e < a.size(); ++e) {
                const double z = double{a[e]} + b[e];
                expected.push_back(epilogue.value(z, e));
                tolerance.push_back(
                    epilogue_bound(z, unit_roundoff * 4, expected.back(), named.dropout));
            }
            expect_close(y.values(), expected, tolerance, columns, "y");
        }
    }
}

TEST_P(ActivationTest, Gradients) {
    for (const auto& [rows, columns] : shapes) {
        for (const NamedEpilogue& named : every_epilogue()) {
            for (const bool in_place : {false, true}) {
                const int shift = static_cast<int>(rows % 4);
                SCOPED_TRACE(describe("rows", rows, "columns", columns, "epilogue", named.name,
                                      "in place", in_place, "shift", shift));
                const DeviceStep step(backend(), 3, 5, 2);
                const oracle::Epilogue epilogue(named.at(step), step.value());
                auto z = values_of_every_size(8, rows * columns);
                const auto y = oracle::to_float(
                    oracle::activate(oracle::DoubleMatrix(rows, columns, z), epilogue).values);
                const auto dy = random_values(9, rows * columns, -3, 3);

                const auto dz = in_place
                                    ? GuardedArray<float>::changing(backend(), dy, shift)
                                    : GuardedArray<float>::output(backend(), rows * columns, shift);
                const auto dy_on_device = GuardedArray<float>::input(backend(), dy, shift);
                const auto y_on_device = GuardedArray<float>::input(backend(), y, shift);
                backend().activation_gradient(dz.matrix(rows, columns),
                                              (in_place ? dz : dy_on_device).matrix(rows, columns),
                                              y_on_device.matrix(rows, columns), named.at(step));

                const oracle::DoubleMatrix expected =
                    oracle::activation_gradient({rows, columns, dy}, {rows, columns, y}, epilogue);
                std::vector<double> tolerance;
                for (std::size_t e = 0; e < y.size(); ++e) {
                    tolerance.push_back(derivative_bound(dy[e], 0, epilogue, y[e], e));
                }
                expect_close(dz.values(), expected.values, tolerance, columns, "dz");
            }
        }
    }
}

// Of 40,000 elements dropout keeps a share of 1 - p within five standard deviations, multiplies it
// by 1 / (1 - p) so that the mean stays, and keeps others in the next draw.
TEST_P(ActivationTest, DropoutKeepsItsShareAndTheMean) {
    const std::int64_t rows = 100, columns = 400;
    const auto z = GuardedArray<float>::input(backend(), std::vector<float>(rows * columns, 1));
    for (const float p : {0.05f, 0.3f, 0.5f, 0.95f}) {
        std::vector<std::vector<float>> masks;
        for (const std::uint32_t offset : {0u, 1u}) {
            const DeviceStep step(backend(), 17, 2, offset);
            const auto y = GuardedArray<float>::output(backend(), rows * columns);
            backend().activate(y.matrix(rows, columns), z.matrix(rows, columns),
                               NamedEpilogue{"dropout", Activation::identity, 0, p}.at(step));
            masks.push_back(y.values());
            double kept = 0, sum = 0;
            for (const float value : masks.back()) {
                kept += value != 0;
                sum += value;
            }
            const double n = static_cast<double>(rows * columns);
            const double deviation = std::sqrt(p * (1 - p) / n);
            EXPECT_LE(std::fabs(kept / n - (1 - p)), 5 * deviation) << "p " << p;
            EXPECT_LE(std::fabs(sum / n - 1), 5 * deviation / (1 - p)) << "p " << p;
        }
        EXPECT_NE(masks[0], masks[1]) << "two draws dropped the same elements, p " << p;
    }
}

} // namespace
} // namespace patchforge::testing
