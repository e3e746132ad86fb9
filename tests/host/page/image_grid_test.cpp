#include "host/page/image_grid.h"

#include <gtest/gtest.h>

#include <cmath>

namespace patchforge {
namespace {

Image filled(int width, int height, int channels, std::uint8_t value) {
    return {width, height, channels,
            std::vector<std::uint8_t>(static_cast<std::size_t>(width * height * channels), value)};
}

// Five 2 x 1 pictures in rows of three with a frame of one: by hand.
TEST(ImageGrid, LaysPicturesOutRowByRow) {
    std::vector<Image> pictures;
    for (int i = 1; i <= 5; ++i) {
        pictures.push_back(filled(2, 1, 1, static_cast<std::uint8_t>(i)));
    }
    const Image grid = image_grid(pictures, 3, 1);
    EXPECT_EQ(grid.width, 10);
    EXPECT_EQ(grid.height, 5);
    const std::vector<std::uint8_t> expected = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, //
                                                0, 1, 1, 0, 2, 2, 0, 3, 3, 0, //
                                                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, //
                                                0, 4, 4, 0, 5, 5, 0, 0, 0, 0, //
                                                0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    EXPECT_EQ(grid.pixels, expected);
}

// torchvision's make_grid of 10 patches of 50 x 50 with nrow 8: (3, 106, 418).
TEST(ImageGrid, HasTorchvisionsSize) {
    const Image grid = image_grid(std::vector<Image>(10, filled(50, 50, 3, 9)), 8);
    EXPECT_EQ(grid.width, 418);
    EXPECT_EQ(grid.height, 106);
    EXPECT_EQ(grid.channels, 3);
    const Image few = image_grid(std::vector<Image>(3, filled(50, 50, 3, 9)), 8);
    EXPECT_EQ(few.width, 158);
    EXPECT_EQ(few.height, 54);
    // Each channel has its own plane.
    EXPECT_EQ(few.pixels[static_cast<std::size_t>(2 * 54 * 158 + 2 * 158 + 2)], 9);
    EXPECT_EQ(few.pixels[static_cast<std::size_t>(2 * 54 * 158 + 2 * 158 + 1)], 0);
}

TEST(ImageGrid, RefusesWhatDoesNotFit) {
    EXPECT_THROW(image_grid({}, 3), std::invalid_argument);
    EXPECT_THROW(image_grid({filled(2, 2, 1, 0)}, 0), std::invalid_argument);
    EXPECT_THROW(image_grid({filled(2, 2, 1, 0), filled(2, 3, 1, 0)}, 2), std::invalid_argument);
    EXPECT_THROW(image_grid({filled(2, 2, 1, 0), filled(2, 2, 3, 0)}, 2), std::invalid_argument);
    EXPECT_THROW(labelled_sheet({}, {}), std::invalid_argument);
    EXPECT_THROW(labelled_sheet({{filled(2, 2, 1, 0), filled(3, 2, 1, 0)}}, {}),
                 std::invalid_argument);
}

TEST(ImageGrid, SignedUnitToBytes) {
    const float values[] = {-1, 1, 0, -0.5F, 0.5F, -7, 7, std::nanf(""), 2.0F / 255 - 1, 0.999F};
    const auto images = images_from_signed_unit(values, 2, 1, 1, 5);
    ASSERT_EQ(images.size(), 2u);
    EXPECT_EQ(images[0].pixels, (std::vector<std::uint8_t>{0, 255, 128, 64, 191}));
    EXPECT_EQ(images[1].pixels, (std::vector<std::uint8_t>{0, 255, 0, 1, 255}));
    // Every byte survives the way to [-1, 1] and back.
    for (int byte = 0; byte < 256; ++byte) {
        const float value = (static_cast<float>(byte) / 255 - 0.5F) / 0.5F;
        EXPECT_EQ(images_from_signed_unit(&value, 1, 1, 1, 1)[0].pixels[0], byte);
    }
}

TEST(ImageGrid, EnlargesEveryPixelToASquare) {
    const Image large = enlarged({2, 1, 1, {3, 9}}, 2);
    EXPECT_EQ(large.pixels, (std::vector<std::uint8_t>{3, 3, 9, 9, 3, 3, 9, 9}));
}

TEST(ImageGrid, DrawsLettersAndCutsThemAtTheEdge) {
    Image image = filled(6, 7, 1, 0);
    draw_text(image, 0, 0, "T", 1, 1, 1);
    const std::vector<std::uint8_t> expected = {1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0,
                                                1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0,
                                                0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0};
    EXPECT_EQ(image.pixels, expected);
    Image edge = filled(3, 3, 3, 0);
    draw_text(edge, -3, -3, "WW\xFF", 1, 2, 3);
    draw_text(edge, 2, 2, "W", 1, 2, 3);
    EXPECT_EQ(edge.pixels.size(), 27u);
}

TEST(ImageGrid, SheetHasRoomForWordsAndPictures) {
    SheetOptions options;
    options.scale = 2;
    options.column_names = {"clean", "FGSM 8/255"};
    options.row_names = {"9023"};
    const std::vector<std::vector<Image>> rows = {{filled(50, 50, 1, 40), filled(50, 50, 1, 80)},
                                                  {filled(50, 50, 1, 120)}};
    const Image sheet = labelled_sheet(rows, options);
    EXPECT_EQ(sheet.channels, 3);
    EXPECT_EQ(sheet.width, 4 * letter_width + 4 + 2 * 102 + 2);
    EXPECT_EQ(sheet.height, letter_height + 8 + 2 * 102 + 2);
    const auto count = [&](int value) {
        return std::count(sheet.pixels.begin(), sheet.pixels.end(), value);
    };
    EXPECT_EQ(count(40), 3 * 100 * 100); // pictures whole and grey in all channels
    EXPECT_EQ(count(80), 3 * 100 * 100);
    EXPECT_EQ(count(120), 3 * 100 * 100);
    EXPECT_GT(count(30), 300); // ink
}

} // namespace
} // namespace patchforge
