// The CPU's way back of few rows against the oracle, at every count of vectors that its kernels take at
// once, whole and cut off: the last piece of a wide layer, and a tall layer, whose sums are added to.
#include "tests/kernels/backends.h"
#include "tests/kernels/operands.h"

namespace patchforge::testing {
namespace {

class LinearFewRowsTest : public BackendTest {
  protected:
    void compare(std::int64_t rows, std::int64_t inputs, std::int64_t outputs) {
        const auto seed = static_cast<std::uint64_t>(rows + 10 * inputs);
        SCOPED_TRACE(describe("rows", rows, "inputs", inputs, "outputs", outputs, "seed", seed));
        const auto dz = random_values(seed, rows * outputs);
        const auto weight = random_values(seed + 1, outputs * inputs);
        const int shift = static_cast<int>(inputs % 3);
        const auto dx = GuardedArray<float>::output(backend(), rows * inputs, shift);
        const auto dz_on_device = GuardedArray<float>::input(backend(), dz, shift);
        const auto weight_on_device = GuardedArray<float>::input(backend(), weight, shift);
        backend().linear_input_gradient(dx.matrix(rows, inputs), dz_on_device.matrix(rows, outputs),
                                        weight_on_device.matrix(outputs, inputs), {}, {});

        const oracle::Products expected =
            oracle::linear_input_gradient({rows, outputs, dz}, {outputs, inputs, weight});
        std::vector<double> tolerance;
        for (const double magnitude : expected.magnitude.values) {
            tolerance.push_back(sum_bound(outputs, magnitude));
        }
        expect_close(dx.values(), expected.value.values, tolerance, inputs, "dx");
    }
};
PATCHFORGE_ON_EVERY_CPU(LinearFewRowsTest);

// 128 columns are eight of the widest vectors, and an eighth of 1024 inputs.
TEST_P(LinearFewRowsTest, InputGradientOfWideLayers) {
    for (std::int64_t width = 1; width <= 128; width += 7) {
        compare(1, 896 + width, 9);
        compare(2 + width % 3, 896 + width, 9);
    }
    for (const std::int64_t inputs : {7, 50, 7500}) {
        for (const std::int64_t rows : {1, 3, 7}) {
            compare(rows, inputs, 50);
        }
    }
}

TEST_P(LinearFewRowsTest, InputGradientOfTallLayers) {
    for (std::int64_t width = 1; width <= 128; width += 7) {
        compare(1, width, 1100);
        compare(2 + width % 3, width, 1100);
    }
}

} // namespace
} // namespace patchforge::testing
