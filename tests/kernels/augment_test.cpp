// Pictures turned, mirrored, moved and cut: exact against the oracle, square and not; their transposes;
// and every draw about as likely as it should be.
#include <map>
#include <numeric>

#include "tests/kernels/backends.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/augment.h"

namespace patchforge::testing {
namespace {

using oracle::Picture;

class AugmentTest : public BackendTest {
  protected:
    using Floats = GuardedArray<float>;

    // What `operation` (y, x) makes of the pictures.
    template <class Call>
    std::vector<float> apply(const std::vector<float>& pixels, Extent extent, const Call& call) {
        const std::int64_t columns = extent.size();
        const auto rows = static_cast<std::int64_t>(pixels.size()) / columns;
        const auto x = Floats::input(backend(), pixels, 1);
        const auto y = Floats::output(backend(), rows * columns, 3);
        call(y.matrix(rows, columns), Matrix<const float>(x.matrix(rows, columns)));
        return y.values();
    }

    // Every plane as `change(plane, row)` makes it.
    template <class Change>
    static std::vector<float> changed(const std::vector<float>& pixels, Extent extent,
                                      const Change& change) {
        std::vector<float> result;
        for (std::size_t at = 0; at < pixels.size();
             at += static_cast<std::size_t>(extent.plane())) {
            Picture picture;
            for (int i = 0; i < extent.height; ++i) {
                const float* const from = pixels.data() + at + i * extent.width;
                picture.emplace_back(from, from + extent.width);
            }
            const std::uint64_t row = at / static_cast<std::size_t>(extent.size());
            for (const auto& line : change(picture, row)) {
                result.insert(result.end(), line.begin(), line.end());
            }
        }
        return result;
    }

    static double dot(const std::vector<float>& a, const std::vector<float>& b) {
        return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
    }
};
PATCHFORGE_ON_EVERY_BACKEND(AugmentTest);

constexpr Extent extents[] = {{3, 5, 5}, {1, 4, 7}, {2, 7, 3}, {1, 1, 1}, {3, 17, 17}};

TEST_P(AugmentTest, DihedralMovesPixelsAsTheOracleDoes) {
    for (const Extent extent : extents) {
        for (const std::int64_t rows : {1, 9, 33}) {
            SCOPED_TRACE(describe("rows", rows, "extent", extent.text()));
            const DeviceStep step(backend(), 5, 3, 1);
            const RandomStream random{0xfedcba9876543210, 160, step.count()};
            const auto pixels = random_values(77, rows * extent.size());
            const auto y = apply(pixels, extent, [&](auto to, auto from) {
                backend().dihedral(to, from, extent, random);
            });
            const oracle::Stream stream{random.seed, random.purpose, step.value()};
            EXPECT_EQ(y, changed(pixels, extent, [&](const Picture& picture, std::uint64_t row) {
                          return oracle::dihedral(picture, stream.word(row));
                      }));
            // Pixels change places, so the transpose is the way back.
            EXPECT_EQ(pixels, apply(y, extent, [&](auto to, auto from) {
                          backend().dihedral_gradient(to, from, extent, random);
                      }));
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
    const auto moved = apply(pixels, {1, 2, 2}, [&](auto to, auto from) {
        backend().dihedral(to, from, {1, 2, 2}, {42, 160, {}});
    });
    std::map<std::vector<float>, int> drawn;
    for (std::int64_t b = 0; b < rows; ++b) {
        ++drawn[{moved.begin() + 4 * b, moved.begin() + 4 * b + 4}];
    }
    EXPECT_EQ(drawn.size(), 8u);
    for (const auto& [picture, count] : drawn) {
        EXPECT_NEAR(count, 100, 47);
    }
}

TEST_P(AugmentTest, TranslationFillsWithZeros) {
    for (const Extent extent : extents) {
        for (const int limit : {0, 2, 6}) {
            SCOPED_TRACE(describe("limit", limit, "extent", extent.text()));
            constexpr std::int64_t rows = 11;
            const DeviceStep step(backend(), 5, 3, 1);
            const RandomStream random{0xfedcba9876543210, 161, step.count()};
            const oracle::Stream stream{random.seed, random.purpose, step.value()};
            const auto pixels = random_values(78, rows * extent.size());
            const auto y = apply(pixels, extent, [&](auto to, auto from) {
                backend().translate(to, from, extent, limit, random);
            });
            EXPECT_EQ(y, changed(pixels, extent, [&](const Picture& picture, std::uint64_t row) {
                          return oracle::translated(
                              picture, oracle::chosen(stream.word(2 * row), 2 * limit + 1) - limit,
                              oracle::chosen(stream.word(2 * row + 1), 2 * limit + 1) - limit);
                      }));
            const auto dy = random_values(79, rows * extent.size());
            const auto dx = apply(dy, extent, [&](auto to, auto from) {
                backend().translate_gradient(to, from, extent, limit, random);
            });
            EXPECT_EQ(dx, changed(dy, extent, [&](const Picture& picture, std::uint64_t row) {
                          return oracle::translated(
                              picture, limit - oracle::chosen(stream.word(2 * row), 2 * limit + 1),
                              limit - oracle::chosen(stream.word(2 * row + 1), 2 * limit + 1));
                      }));
            EXPECT_NEAR(dot(y, dy), dot(pixels, dx), 1e-6 * static_cast<double>(dy.size()));
        }
    }
}

TEST_P(AugmentTest, CutoutLeavesAHole) {
    for (const Extent extent : extents) {
        for (const int side : {0, 1, 2, 5, 8}) {
            SCOPED_TRACE(describe("side", side, "extent", extent.text()));
            constexpr std::int64_t rows = 11;
            const DeviceStep step(backend(), 5, 3, 1);
            const RandomStream random{0xfedcba9876543210, 162, step.count()};
            const oracle::Stream stream{random.seed, random.purpose, step.value()};
            const auto pixels = random_values(80, rows * extent.size());
            const auto y = apply(pixels, extent, [&](auto to, auto from) {
                backend().cutout(to, from, extent, side, random);
            });
            const int odd = side % 2;
            EXPECT_EQ(y, changed(pixels, extent, [&](const Picture& picture, std::uint64_t row) {
                          return oracle::cut(
                              picture, side,
                              oracle::chosen(stream.word(2 * row), extent.height + 1 - odd),
                              oracle::chosen(stream.word(2 * row + 1), extent.width + 1 - odd));
                      }));
            const auto in_place = Floats::changing(backend(), pixels, 2);
            backend().cutout(in_place.matrix(rows, extent.size()),
                             in_place.matrix(rows, extent.size()), extent, side, random);
            EXPECT_EQ(in_place.values(), y);
        }
    }
}

// 900 pictures of one bright pixel: 25 places it can be moved to, 36 each with a deviation of 5.9.
TEST_P(AugmentTest, AllTranslationsAreDrawn) {
    constexpr std::int64_t rows = 900;
    std::vector<float> pixels(rows * 25, 0.0f);
    for (std::int64_t b = 0; b < rows; ++b) {
        pixels[static_cast<std::size_t>(25 * b + 12)] = 1;
    }
    const auto moved = apply(pixels, {1, 5, 5}, [&](auto to, auto from) {
        backend().translate(to, from, {1, 5, 5}, 2, {43, 161, {}});
    });
    std::vector<int> drawn(25);
    for (std::size_t e = 0; e < moved.size(); ++e) {
        drawn[e % 25] += moved[e] == 1;
    }
    for (const int count : drawn) {
        EXPECT_NEAR(count, 36, 30);
    }
}

} // namespace
} // namespace patchforge::testing
