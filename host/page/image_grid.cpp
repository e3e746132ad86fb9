#include "host/page/image_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "host/page/font_5x7.h"

namespace patchforge {

namespace {

Image blank(int width, int height, int channels, std::uint8_t value) {
    return {width, height, channels,
            std::vector<std::uint8_t>(static_cast<std::size_t>(width) * height * channels, value)};
}

std::size_t place(const Image& image, int channel, int y, int x) {
    return (static_cast<std::size_t>(channel) * image.height + y) * image.width + x;
}

void paste(Image& onto, const Image& picture, int x, int y) {
    for (int channel = 0; channel < picture.channels; ++channel) {
        for (int row = 0; row < picture.height; ++row) {
            std::copy_n(picture.pixels.begin() +
                            static_cast<std::ptrdiff_t>(place(picture, channel, row, 0)),
                        picture.width,
                        onto.pixels.begin() +
                            static_cast<std::ptrdiff_t>(place(onto, channel, y + row, x)));
        }
    }
}

void demand_equal_size(const Image& a, const Image& b) {
    if (a.width != b.width || a.height != b.height || a.channels != b.channels) {
        throw std::invalid_argument(fmt::format(
            "image grid: pictures of {} x {} x {} and {} x {} x {} do not fit; give one size",
            a.channels, a.height, a.width, b.channels, b.height, b.width));
    }
}

int text_width(const std::vector<std::string>& names) {
    std::size_t longest = 0;
    for (const std::string& name : names) {
        longest = std::max(longest, name.size());
    }
    return static_cast<int>(longest) * letter_width;
}

} // namespace

Image image_grid(const std::vector<Image>& pictures, int columns, int padding) {
    if (pictures.empty() || columns < 1 || padding < 0) {
        throw std::invalid_argument(
            fmt::format("image grid: {} pictures in {} columns with padding {} are not possible; "
                        "give pictures, columns >= 1 and padding >= 0",
                        pictures.size(), columns, padding));
    }
    const int count = static_cast<int>(pictures.size());
    const int across = std::min(columns, count);
    const int down = (count + across - 1) / across;
    const Image& first = pictures.front();
    const int cell_width = first.width + padding;
    const int cell_height = first.height + padding;
    Image grid =
        blank(cell_width * across + padding, cell_height * down + padding, first.channels, 0);
    for (int i = 0; i < count; ++i) {
        demand_equal_size(first, pictures[i]);
        paste(grid, pictures[i], padding + i % across * cell_width,
              padding + i / across * cell_height);
    }
    return grid;
}

std::vector<Image> images_from_signed_unit(const float* values, std::int64_t count, int channels,
                                           int height, int width) {
    std::vector<Image> images;
    for (std::int64_t i = 0; i < count; ++i) {
        Image image = blank(width, height, channels, 0);
        for (std::uint8_t& pixel : image.pixels) {
            const float level = std::round((*values++ + 1) * 127.5F);
            pixel = level >= 0 ? static_cast<std::uint8_t>(std::min(level, 255.0F)) : 0; // NaN: 0
        }
        images.push_back(std::move(image));
    }
    return images;
}

Image enlarged(const Image& image, int scale) {
    Image large = blank(image.width * scale, image.height * scale, image.channels, 0);
    for (int channel = 0; channel < image.channels; ++channel) {
        for (int y = 0; y < large.height; ++y) {
            for (int x = 0; x < large.width; ++x) {
                large.pixels[place(large, channel, y, x)] =
                    image.pixels[place(image, channel, y / scale, x / scale)];
            }
        }
    }
    return large;
}

int sheet_scale(int width) {
    return std::clamp(100 / std::max(width, 1), 1, 8);
}

Image labelled_sheet(const std::vector<std::vector<Image>>& rows, const SheetOptions& options) {
    const Image* first = nullptr;
    std::size_t columns = 0;
    for (const auto& row : rows) {
        columns = std::max(columns, row.size());
        for (const Image& picture : row) {
            first = first ? first : &picture;
            demand_equal_size(*first, picture);
        }
    }
    if (!first || options.padding < 0 || options.scale < 1) {
        throw std::invalid_argument(
            "image sheet: there are no pictures, or padding or scale are not possible; give "
            "pictures, padding >= 0 and scale >= 1");
    }
    constexpr int gap = 4;
    const int left = options.row_names.empty() ? 0 : text_width(options.row_names) + gap;
    const int top = options.column_names.empty() ? 0 : letter_height + 2 * gap;
    // Words wider than a picture must not run into their neighbours.
    const int cell_width =
        std::max(first->width * options.scale, text_width(options.column_names)) + options.padding;
    const int cell_height =
        std::max(first->height * options.scale, letter_height) + options.padding;
    Image sheet =
        blank(left + static_cast<int>(columns) * cell_width + options.padding,
              top + static_cast<int>(rows.size()) * cell_height + options.padding, 3, 255);
    constexpr std::uint8_t ink = 30;
    for (std::size_t i = 0; i < std::min(columns, options.column_names.size()); ++i) {
        draw_text(sheet, left + options.padding + static_cast<int>(i) * cell_width, gap,
                  options.column_names[i], ink, ink, ink);
    }
    for (std::size_t r = 0; r < rows.size(); ++r) {
        const int y = top + options.padding + static_cast<int>(r) * cell_height;
        if (r < options.row_names.size()) {
            draw_text(sheet, gap / 2, y + (cell_height - options.padding - letter_height) / 2,
                      options.row_names[r], ink, ink, ink);
        }
        for (std::size_t i = 0; i < rows[r].size(); ++i) {
            const Image picture = enlarged(rows[r][i], options.scale);
            const int x = left + options.padding + static_cast<int>(i) * cell_width;
            for (int channel = 0; channel < 3; ++channel) { // grey fills all three
                const int source = picture.channels == 3 ? channel : 0;
                for (int row = 0; row < picture.height; ++row) {
                    for (int column = 0; column < picture.width; ++column) {
                        sheet.pixels[place(sheet, channel, y + row, x + column)] =
                            picture.pixels[place(picture, source, row, column)];
                    }
                }
            }
        }
    }
    return sheet;
}

void draw_text(Image& image, int x, int y, const std::string& text, std::uint8_t red,
               std::uint8_t green, std::uint8_t blue) {
    constexpr std::uint8_t box[5] = {0x7F, 0x41, 0x41, 0x41, 0x7F};
    const std::uint8_t colour[3] = {red, green, blue};
    for (const char letter : text) {
        const std::uint8_t* columns = letter >= ' ' && letter <= '~' ? font_5x7[letter - ' '] : box;
        for (int column = 0; column < 5; ++column) {
            for (int row = 0; row < letter_height; ++row) {
                const bool inside = x + column >= 0 && x + column < image.width && y + row >= 0 &&
                                    y + row < image.height;
                if (inside && (columns[column] >> row & 1)) {
                    for (int channel = 0; channel < image.channels; ++channel) {
                        image.pixels[place(image, channel, y + row, x + column)] = colour[channel];
                    }
                }
            }
        }
        x += letter_width;
    }
}

} // namespace patchforge
