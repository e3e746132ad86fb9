// Bicubic resampling: four conventions for one word, each by values of its own library.
#include "data/cubic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <initializer_list>

namespace patchforge {
namespace {

std::vector<double> line(const std::vector<double>& row, int out, const CubicRule& rule) {
    std::vector<double> result;
    for (const std::vector<CubicTap>& taps : cubic_taps(static_cast<int>(row.size()), out, rule)) {
        double sum = 0;
        for (const CubicTap& tap : taps) {
            sum += tap.weight * row[static_cast<std::size_t>(tap.input)];
        }
        result.push_back(sum);
    }
    return result;
}

const std::vector<double> row = {0, 1, 4, 2, 7, 3, 5, 6};

void expect_near(const std::vector<double>& ours, const std::vector<double>& theirs) {
    ASSERT_EQ(ours.size(), theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
        EXPECT_FALSE(!(std::fabs(ours[i] - theirs[i]) <= 1e-9)) << i << ": " << ours[i];
    }
}

TEST(Cubic, ShrinksAsPilAndAsPyTorch) {
    expect_near(line(row, 4, pil_cubic), {.786610879, 3.305019305, 4.710424710, 5.184100418});
    expect_near(line(row, 4, torch_cubic), {.218750000, 2.812500000, 5.281250000, 5.687500000});
}

TEST(Cubic, EnlargesAsPyTorch) {
    const std::vector<double> large = line(row, 16, torch_cubic);
    expect_near({large[0], large[1], large[2], large[15]},
                {-.105468750, .121093750, .457031250, 6.105468750});
}

TEST(Cubic, WeightsInsideThePicture) {
    const auto weights = [](int in, int out, int at, const CubicRule& rule) {
        std::vector<double> found;
        const auto taps = cubic_taps(in, out, rule);
        for (const CubicTap& tap : taps[static_cast<std::size_t>(at)]) {
            found.push_back(tap.weight);
        }
        return found;
    };
    expect_near(weights(8, 16, 7, {-.5, true, CubicBorder::mirrored, false}),
                {-.0703125, .8671875, .2265625, -.0234375});
    expect_near(weights(8, 16, 7, torch_cubic), {-.10546875, .87890625, .26171875, -.03515625});
    expect_near(weights(16, 8, 4, matlab_cubic), {-.01171875, -.03515625, .11328125, .43359375,
                                                  .43359375, .11328125, -.03515625, -.01171875});
}

// Images.resize(BICUBIC) of PIL 13.0 of a picture of 7 x 5, to the byte.
TEST(Cubic, IsPilToTheByte) {
    Image picture{7, 5, 1, {}};
    for (int i = 0; i < 35; ++i) {
        picture.pixels.push_back(static_cast<std::uint8_t>((i * 101 + i * i * 37) % 256));
    }
    EXPECT_EQ(
        resize_cubic(picture, 3, 4, pil_cubic).pixels,
        (std::vector<std::uint8_t>{84, 142, 164, 142, 126, 176, 113, 146, 147, 172, 135, 115}));
    EXPECT_EQ(resize_cubic(picture, 9, 8, pil_cubic).pixels,
              (std::vector<std::uint8_t>{
                  0,   94,  131, 96,  126, 217, 191, 144, 146, 87,  115, 107, 83,  114, 208,
                  183, 139, 143, 228, 145, 77,  68,  102, 199, 178, 137, 144, 246, 151, 79,
                  73,  111, 228, 200, 160, 183, 160, 136, 106, 99,  145, 178, 200, 178, 130,
                  6,   113, 154, 141, 186, 65,  173, 184, 3,   40,  166, 221, 178, 95,  99,
                  147, 138, 68,  90,  209, 255, 199, 21,  142, 132, 104, 136}));
}

TEST(Cubic, KeepsAConstantPicture) {
    const Image grey{6, 4, 3, std::vector<std::uint8_t>(72, 177)};
    for (const CubicRule& rule : {pil_cubic, torch_cubic, matlab_cubic}) {
        for (const auto& [width, height] : {std::pair(3, 2), std::pair(12, 8), std::pair(1, 1)}) {
            const Image resized = resize_cubic(grey, width, height, rule);
            EXPECT_EQ(resized.pixels,
                      std::vector<std::uint8_t>(static_cast<std::size_t>(3 * width * height), 177));
        }
    }
    EXPECT_THROW(resize_cubic(grey, 0, 2, pil_cubic), std::invalid_argument);
}

} // namespace
} // namespace patchforge
