// What sources are made of pictures.
#include "host/translate/picture_pairs.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/resample.h"

namespace patchforge {
namespace {

Image picture(int channels, int height, int width) {
    Image image{width, height, channels, {}};
    for (int i = 0; i < channels * height * width; ++i) {
        image.pixels.push_back(static_cast<std::uint8_t>(40 + (i * 29 + i / 7 * 13) % 200));
    }
    return image;
}

// Haematoxylin, eosin and residual of a pixel, by Cramer's rule with skimage's matrix.
std::array<double, 3> stains_of(const Image& image, std::size_t at) {
    const std::size_t plane = image.pixels.size() / 3;
    std::array<double, 3> od{};
    for (std::size_t c = 0; c < 3; ++c) {
        od[c] = std::log(std::max(image.pixels[c * plane + at] / 255.0, 1e-6)) / std::log(1e-6);
    }
    const double m[3][3] = {{.65, .70, .29}, {.07, .99, .11}, {.27, .57, .78}};
    const auto determinant = [](const double(&a)[3][3]) {
        return a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) -
               a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
               a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
    };
    std::array<double, 3> stains{};
    for (std::size_t k = 0; k < 3; ++k) {
        double replaced[3][3];
        for (std::size_t row = 0; row < 3; ++row) {
            for (std::size_t c = 0; c < 3; ++c) {
                replaced[row][c] = row == k ? od[c] : m[row][c];
            }
        }
        stains[k] = determinant(replaced) / determinant(m);
    }
    return stains;
}

TEST(PictureSources, WithoutEosinTheOtherStainsStay) {
    // Tissue's own colours: what no mixture of the stains gives is cut off at white.
    Image tissue{2, 1, 3, {153, 204, 102, 128, 178, 190}};
    const auto before = stains_of(tissue, 0);
    EXPECT_NEAR(before[0], .049527339, 1e-3); // of (.6, .4, .7), which 8 bits round
    EXPECT_NEAR(before[1], .025597543, 1e-3);
    const auto after = stains_of(without_eosin(tissue), 0);
    EXPECT_NEAR(after[0], before[0], 5e-4); // rounded to 8 bits
    EXPECT_NEAR(after[1], 0, 5e-4);
    EXPECT_NEAR(after[2], before[2], 5e-4);
    EXPECT_THROW(without_eosin(picture(1, 4, 4)), std::invalid_argument);
}

TEST(PictureSources, EdgesAreDarkLinesOnWhite) {
    Image step{8, 8, 3, {}};
    for (int i = 0; i < 3 * 64; ++i) {
        step.pixels.push_back(i % 8 < 4 ? 60 : 100);
    }
    const Image drawing = edge_drawing(step);
    ASSERT_EQ(drawing.channels, 1);
    for (int i = 0; i < 64; ++i) { // Sobel: 4 x 40 at the two columns beside the edge, halved
        EXPECT_EQ(int{drawing.pixels[static_cast<std::size_t>(i)]},
                  i % 8 == 3 || i % 8 == 4 ? 255 - 80 : 255);
    }
}

TEST(PictureSources, OddPicturesAreCutBeforeTheyAreHalved) {
    TranslateOptions options; // super-resolution
    const Image odd = picture(3, 49, 49);
    const Image target = pair_target(odd, options), source = pair_source(odd, options);
    EXPECT_EQ(target.width, 48);
    EXPECT_EQ(target.height, 48);
    EXPECT_EQ(source.width, 24);
    EXPECT_EQ(source.pixels, halved_bicubic(target).pixels);
    EXPECT_EQ(target.pixels[47], odd.pixels[47]);
    EXPECT_EQ(target.pixels[48], odd.pixels[49]);
}

TEST(PictureSources, HalvedByMeansIsABox) {
    Image row{8, 2, 1, {0, 1, 4, 2, 7, 3, 5, 6, 0, 1, 4, 2, 7, 3, 5, 6}};
    EXPECT_EQ(halved_by_means(row).pixels, (std::vector<std::uint8_t>{1, 3, 5, 6})); // .5 3 5 5.5
}

TEST(PictureSources, LowResolutionKeepsTheSize) {
    TranslateOptions options;
    choose_mode(options, TranslationMode::paired);
    options.pairs = PairSource::low_resolution;
    for (const int side : {28, 49, 50}) {
        const Image source = pair_source(picture(1, side, side), options);
        EXPECT_EQ(source.width, side);
        EXPECT_EQ(source.height, side);
    }
}

} // namespace
} // namespace patchforge
