// What convolutions and the normalisation of maps get wrong easily, planted into numbers that a kernel
// with the fault would give: the comparisons of convolution_test.cpp and normalise_maps_test.cpp, over
// the cases that they run, must refuse them and accept the same numbers without the fault.
#include <gtest/gtest-spi.h>

#include <functional>

#include "tests/kernels/comparison.h"
#include "tests/kernels/convolution_cases.h"
#include "tests/oracle/convolution.h"
#include "tests/oracle/normalise_maps.h"

namespace patchforge::testing {
namespace {

bool refuses(const std::function<void()>& comparison) {
    ::testing::TestPartResultArray results;
    {
        const ::testing::ScopedFakeTestPartResultReporter reporter(
            ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
        comparison();
    }
    return results.size() > 0;
}

bool refuses(const oracle::DoubleMatrix& actual, const oracle::Products& expected,
             std::int64_t terms) {
    std::vector<double> tolerance;
    for (const double magnitude : expected.magnitude.values) {
        tolerance.push_back(sum_bound(terms, magnitude));
    }
    return refuses([&] {
        expect_close(oracle::to_float(actual.values), expected.value.values, tolerance,
                     actual.columns, "planted");
    });
}

// What a kernel whose blocks own `tile` columns of outputs takes for the pixel behind its window: with the
// halo off by one the next one, if there is one.
constexpr std::int64_t tile = 16;
std::int64_t behind_the_window(const ConvolutionShape& s, std::int64_t y, std::int64_t x) {
    const std::int64_t column = y % s.out().width, pixel = x % s.in.width;
    const bool halo = column % tile == tile - 1 && pixel > column * s.stride;
    return halo && pixel + 1 < s.in.width ? x + 1 : x;
}

TEST(PlantedFault, HaloOffByOneIsRefused) {
    int forward = 0, weights = 0;
    for (const ConvolutionCase& c : convolution_cases()) {
        const ConvolutionShape& shape = c.shape;
        if (shape.kind != ConvolutionKind::convolution || shape.out().width < tile) {
            continue;
        }
        SCOPED_TRACE(shape.text());
        const oracle::DoubleMatrix x(1, shape.inputs(), random_values(71, shape.inputs()));
        const oracle::DoubleMatrix w(1, shape.weights(), random_values(72, shape.weights()));
        const oracle::DoubleMatrix dz(1, shape.outputs(), random_values(73, shape.outputs()));
        oracle::DoubleMatrix y(1, shape.outputs()), dw(1, shape.weights());
        oracle::for_each_product(shape, [&](std::int64_t o, std::int64_t k, std::int64_t i) {
            const double pixel = x(0, behind_the_window(shape, o, i));
            y(0, o) += w(0, k) * pixel;
            dw(0, k) += dz(0, o) * pixel;
        });
        const std::int64_t terms = shape.weights() / shape.out_channels + 1;
        const oracle::Products right = oracle::convolution(x, w, {}, shape);
        const oracle::Products right_dw = oracle::convolution_weight_gradient(dz, x, shape);
        EXPECT_FALSE(refuses(right.value, right, terms));
        forward += refuses(y, right, terms) ? 1 : 0;
        weights += refuses(dw, right_dw, shape.out().plane() + 1) ? 1 : 0;
    }
    EXPECT_GE(forward, 5) << "too few cases have a window of more than one tile";
    EXPECT_GE(weights, 5);
}

// Stride 2: the gradients of even and odd columns come from other taps.
TEST(PlantedFault, SwappedParityIsRefused) {
    int cases = 0;
    for (const ConvolutionCase& c : convolution_cases()) {
        const ConvolutionShape& shape = c.shape;
        const bool doubles = shape.kind == ConvolutionKind::convolution && shape.stride == 2;
        if (!doubles || shape.in.width == 1 || shape.inputs() > 10000) {
            continue;
        }
        SCOPED_TRACE(shape.text());
        const oracle::DoubleMatrix w(1, shape.weights(), random_values(74, shape.weights()));
        const oracle::DoubleMatrix dz(1, shape.outputs(), random_values(75, shape.outputs()));
        const oracle::Products right = oracle::convolution_input_gradient(dz, w, shape);
        oracle::DoubleMatrix swapped = right.value;
        for (std::int64_t i = 0; i < shape.inputs(); ++i) {
            const std::int64_t column = i % shape.in.width;
            if (column % 2 == 0 && column + 1 < shape.in.width) {
                std::swap(swapped(0, i), swapped(0, i + 1));
            }
        }
        const std::int64_t terms = shape.weights() / shape.in.channels;
        EXPECT_FALSE(refuses(right.value, right, terms));
        EXPECT_TRUE(refuses(swapped, right, terms));
        ++cases;
    }
    EXPECT_GE(cases, 5);
}

// Patches and fakes in one batch, pictures, and groups of channels, each with the statistics of the next.
TEST(PlantedFault, StatisticsOfTheWrongGroupAreRefused) {
    struct Case {
        const char* name;
        std::int64_t rows;
        MapSets sets;
    };
    const std::vector<Case> cases = {{"real and fake apart", 6, {{3, 5, 4}, 3, 1}},
                                     {"instance", 3, {{5, 7, 7}, 1, 1}},
                                     {"group", 4, {{8, 3, 2}, 1, 4}}};
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const std::int64_t columns = c.sets.extent.size();
        const std::int64_t of_row = c.sets.extent.channels / c.sets.channels;
        const oracle::DoubleMatrix x(c.rows, columns, random_values(76, c.rows * columns, -1, 3));
        const oracle::NormalisedMaps right = oracle::normalise_maps(x, c.sets, {}, {});
        const std::int64_t parts = c.rows / c.sets.rows;
        const auto with = [&](std::int64_t parts_on, std::int64_t groups_on) {
            oracle::DoubleMatrix y = x;
            for (std::int64_t row = 0; row < c.rows; ++row) {
                for (std::int64_t e = 0; e < columns; ++e) {
                    const std::int64_t part = (row / c.sets.rows + parts_on) % parts;
                    const std::int64_t group = e / c.sets.extent.plane() / c.sets.channels;
                    const auto set =
                        static_cast<std::size_t>(part * of_row + (group + groups_on) % of_row);
                    y(row, e) = (x(row, e) - right.mean[set]) /
                                std::sqrt(right.variance[set] + double{1e-5f});
                }
            }
            return refuses(
                [&] { expect_close(oracle::to_float(y.values), right.y.values, 4e-6, "planted"); });
        };
        EXPECT_FALSE(with(0, 0));
        EXPECT_TRUE(with(1, 0));
        EXPECT_TRUE(with(0, 1));
    }
}

} // namespace
} // namespace patchforge::testing
