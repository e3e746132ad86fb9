// PSNR and SSIM against values of scikit-image, and the conventions that change them.
#include "host/translate/picture_quality.h"

#include <gtest/gtest.h>

#include <cmath>

namespace patchforge {
namespace {

TEST(PictureQuality, GoldenValues) {
    std::vector<double> a, b;
    for (int i = 0; i < 256; ++i) {
        a.push_back(.5 + .4 * std::sin(.37 * i));
        b.push_back(std::clamp(a.back() + .05 * std::cos(.91 * i), 0.0, 1.0));
    }
    EXPECT_NEAR(mean_squared_error(a, b), .001252609197965, 1e-14);
    EXPECT_NEAR(psnr(a, b), 29.021844035793, 1e-11);
    EXPECT_NEAR(ssim(a, b, 16, 16), .981643781988, 1e-11);
    EXPECT_TRUE(std::isnan(ssim(a, b, 10, 10)));
}

TEST(PictureQuality, BrightnessIsThatOfPapers) {
    EXPECT_NEAR(luma({1, 1, 3, {51, 128, 204}})[0],
                (65.481 * 51 + 128.553 * 128 + 24.966 * 204) / 255 / 255 + 16.0 / 255, 1e-12);
    // (.2, .5, .8)
    EXPECT_NEAR((65.481 * .2 + 128.553 * .5 + 24.966 * .8 + 16) / 255, .444492156863, 1e-12);
}

// The same grey error is 20 log10(255 / 219) = 1.32 dB higher on Y.
TEST(PictureQuality, BrightnessFlattersAGreyError) {
    const Image dark{16, 16, 3, std::vector<std::uint8_t>(768, 100)};
    const Image light{16, 16, 3, std::vector<std::uint8_t>(768, 110)};
    const PictureQuality quality = picture_quality({light}, {dark});
    EXPECT_NEAR(quality.psnr, -20 * std::log10(10 / 255.0), 1e-9);
    EXPECT_NEAR(quality.psnr_y - quality.psnr, 20 * std::log10(255 / 219.0), 1e-9);
}

TEST(PictureQuality, AMeanOfPicturesIsNotThatOfTheirErrors) {
    const auto grey = [](int level) {
        return Image{16, 16, 1, std::vector<std::uint8_t>(256, static_cast<std::uint8_t>(level))};
    };
    const PictureQuality quality =
        picture_quality({grey(101), grey(120), grey(100)}, {grey(100), grey(100), grey(100)});
    EXPECT_NEAR(quality.psnr, (-20 * std::log10(1 / 255.0) - 20 * std::log10(20 / 255.0) + 100) / 3,
                1e-9);
    EXPECT_NEAR(quality.psnr_of_mean, -10 * std::log10((1 + 400) / 3.0 / 255.0 / 255.0), 1e-9);
    EXPECT_EQ(quality.equal, 1);
    EXPECT_THROW(picture_quality({}, {}), std::invalid_argument);
    EXPECT_THROW(picture_quality({grey(1)}, {Image{1, 1, 1, {0}}}), std::invalid_argument);
}

} // namespace
} // namespace patchforge
