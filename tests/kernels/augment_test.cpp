// Pictures turned and mirrored: exact against the oracle, square and not, and all eight elements
// drawn about equally often.
#include <map>

#include "tests/kernels/backends.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/augment.h"

namespace patchforge::testing {
namespace {

class AugmentTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(AugmentTest);

TEST_P(AugmentTest, DihedralMovesPixelsAsTheOracleDoes) {
    const Extent shapes[] = {{3, 5, 5}, {1, 4, 7}, {2, 7, 3}, {1, 1, 1}, {3, 17, 17}};
    for (const Extent shape : shapes) {
        for (const std::int64_t rows : {1, 9, 33}) {
            SCOPED_TRACE(describe("rows", rows, "height", shape.height, "width", shape.width));
            const std::int64_t columns = shape.channels * shape.height * shape.width;
            const DeviceStep step(backend(), 5, 3, 1);
            const RandomStream random{0xfedcba9876543210, 160, step.count()};
            const auto pixels = random_values(77, rows * columns);
            const auto x = GuardedArray<float>::input(backend(), pixels, 1);
            const auto y = GuardedArray<float>::output(backend(), rows * columns, 3);
            backend().dihedral(y.matrix(rows, columns), x.matrix(rows, columns), shape, random);

            std::vector<float> expected;
            const oracle::Stream stream{random.seed, random.purpose, step.value()};
            for (std::int64_t plane = 0; plane < rows * shape.channels; ++plane) {
                oracle::Picture picture;
                const float* from = pixels.data() + plane * shape.height * shape.width;
                for (int i = 0; i < shape.height; ++i) {
                    picture.emplace_back(from + i * shape.width, from + (i + 1) * shape.width);
                }
                const std::uint32_t word =
                    stream.word(static_cast<std::uint64_t>(plane / shape.channels));
                for (const auto& line : oracle::dihedral(picture, word)) {
                    expected.insert(expected.end(), line.begin(), line.end());
                }
            }
            EXPECT_EQ(y.values(), expected);
        }
    }
}

// 800 draws of a 2 x 2 picture with four different pixels: its eight images tell the elements
// apart. 100 of each are expected with a deviation of 9.4; 5 deviations are allowed.
TEST_P(AugmentTest, AllEightElementsAreDrawn) {
    constexpr std::int64_t rows = 800;
    std::vector<float> pixels;
    for (std::int64_t b = 0; b < rows; ++b) {
        pixels.insert(pixels.end(), {1, 2, 3, 4});
    }
    const auto x = GuardedArray<float>::input(backend(), pixels);
    const auto y = GuardedArray<float>::output(backend(), 4 * rows);
    backend().dihedral(y.matrix(rows, 4), x.matrix(rows, 4), {1, 2, 2}, {42, 160, {}});
    const std::vector<float> moved = y.values();
    std::map<std::vector<float>, int> drawn;
    for (std::int64_t b = 0; b < rows; ++b) {
        ++drawn[{moved.begin() + 4 * b, moved.begin() + 4 * b + 4}];
    }
    EXPECT_EQ(drawn.size(), 8u);
    for (const auto& [picture, count] : drawn) {
        EXPECT_NEAR(count, 100, 47);
    }
}

} // namespace
} // namespace patchforge::testing
