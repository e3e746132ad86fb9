// Many small pictures as one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/png.h"

namespace patchforge {

// Row by row, `columns` in a row (fewer when there are fewer pictures), `padding` black pixels
// around every one: the layout of torchvision.utils.make_grid, except that a single picture is
// framed too. All pictures have one size. Throws std::invalid_argument when there are none, sizes
// differ, or columns < 1.
Image image_grid(const std::vector<Image>& pictures, int columns, int padding = 2);

// `count` pictures of (channels, height, width) floats in [-1, 1], one after the other: each value
// becomes round(255 (v + 1) / 2), clamped.
std::vector<Image> images_from_signed_unit(const float* values, std::int64_t count, int channels,
                                           int height, int width);

// Every pixel as a square of scale x scale.
Image enlarged(const Image& image, int scale);

// Rows of pictures of one size with names, for Report::sheet. A row may be short.
struct PictureSheet {
    std::vector<std::vector<Image>> rows{};
    std::vector<std::string> column_names{}; // above the columns; may be empty
    std::vector<std::string> row_names{};    // of each row; may be empty
    int scale = 1;                           // every pixel is drawn as scale x scale
};

// What enlarges small patches to about 100 pixels.
int sheet_scale(int width);

// The same as one picture, for files.
struct SheetOptions {
    int padding = 2;
    int scale = 1;                           // pictures are enlarged, the words are not
    std::vector<std::string> column_names{}; // above the columns; may be empty
    std::vector<std::string> row_names{};    // left of the rows; may be empty
};
// A grid with words: `rows` lists of pictures of one size, dark words on white. A row may be short.
// Errors as image_grid.
Image labelled_sheet(const std::vector<std::vector<Image>>& rows, const SheetOptions& options);

// Draws `text` with its top left corner at (x, y), in pixels; what lies outside the image is cut.
// Letters are 5 x 7 pixels, 6 apart; printable ASCII, other bytes are drawn as a box.
void draw_text(Image& image, int x, int y, const std::string& text, std::uint8_t red,
               std::uint8_t green, std::uint8_t blue);
constexpr int letter_width = 6;
constexpr int letter_height = 7;

} // namespace patchforge
