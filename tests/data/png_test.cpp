#include "data/png.h"

#include "data/plain_png.h"
#include "tests/data/folder_fixture.h"
#include "tests/data/png_maker.h"

#include <fmt/format.h>
#include <zlib.h>

#include <cmath>
#include <random>
#include <string>

namespace patchforge {
namespace {

/// The picture a PNG of these samples stands for, in float64.
std::vector<double> expected_rgb(const PngRecipe& recipe, const std::vector<int>& samples,
                                 int pixel) {
    const double top = (1 << recipe.depth) - 1;
    const int* s = samples.data() + pixel * samples_per_pixel(recipe);
    std::vector<double> colour;
    double alpha = 1.0;
    switch (recipe.colour) {
    case PNG_COLOR_TYPE_PALETTE:
        for (int c = 0; c < 3; ++c) {
            colour.push_back(palette_entry(s[0], c));
        }
        alpha = recipe.transparency ? palette_alpha(s[0]) / 255.0 : 1.0;
        break;
    case PNG_COLOR_TYPE_GRAY:
    case PNG_COLOR_TYPE_GRAY_ALPHA:
        colour.assign(3, s[0] / top * 255.0);
        if (recipe.colour == PNG_COLOR_TYPE_GRAY_ALPHA) {
            alpha = s[1] / top;
        } else if (recipe.transparency && s[0] == transparent_sample(recipe, 0)) {
            alpha = 0.0;
        }
        break;
    default:
        colour = {s[0] / top * 255.0, s[1] / top * 255.0, s[2] / top * 255.0};
        if (recipe.colour == PNG_COLOR_TYPE_RGB_ALPHA) {
            alpha = s[3] / top;
        } else if (recipe.transparency && s[0] == transparent_sample(recipe, 0) &&
                   s[1] == transparent_sample(recipe, 1) && s[2] == transparent_sample(recipe, 2)) {
            alpha = 0.0;
        }
    }
    for (double& value : colour) {
        value = value * alpha + 255.0 * (1.0 - alpha);
    }
    return colour;
}

TEST(Png, EveryColourTypeDepthInterlaceAndTransparency) {
    int recipes = 0;
    for (const PngRecipe& recipe : all_recipes()) {
        ++recipes;
        SCOPED_TRACE(recipe.text());
        const std::vector<int> samples = recipe_samples(recipe);
        const std::vector<std::uint8_t> file = make_png(recipe, samples);
        const Image rgb = decode_png(file, 3, "rgb");
        const Image grey = decode_png(file, 1, "grey");
        ASSERT_EQ(rgb.width, recipe.width);
        ASSERT_EQ(rgb.height, recipe.height);
        ASSERT_EQ(rgb.channels, 3);
        ASSERT_EQ(grey.channels, 1);
        const int plane = recipe.width * recipe.height;
        ASSERT_EQ(rgb.pixels.size(), 3u * plane);
        ASSERT_EQ(grey.pixels.size(), 1u * plane);
        for (int p = 0; p < plane; ++p) {
            const std::vector<double> want = expected_rgb(recipe, samples, p);
            // 16-bit samples and alpha are rounded to 8 bits before they meet: 1 level.
            for (int c = 0; c < 3; ++c) {
                const double error = std::abs(rgb.pixels[c * plane + p] - want[c]);
                ASSERT_TRUE(error <= 1.0) << "pixel " << p << " channel " << c << ": "
                                          << int(rgb.pixels[c * plane + p]) << " not " << want[c];
            }
            const double luma = 0.299 * want[0] + 0.587 * want[1] + 0.114 * want[2];
            ASSERT_TRUE(std::abs(grey.pixels[p] - luma) <= 1.5) << "pixel " << p;
        }
    }
    EXPECT_EQ(recipes, 52); // 15 kinds, 11 of them also with tRNS, plain and interlaced
}

/// By libpng alone.
std::vector<std::uint8_t> interleaved_by_libpng(const std::vector<std::uint8_t>& file,
                                                int channels) {
    png_image picture{};
    picture.version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_memory(&picture, file.data(), file.size())) {
        ADD_FAILURE() << picture.message;
    }
    EXPECT_EQ(picture.format, channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB);
    std::vector<std::uint8_t> samples(PNG_IMAGE_SIZE(picture));
    return png_image_finish_read(&picture, nullptr, samples.data(), 0, nullptr)
               ? samples
               : std::vector<std::uint8_t>(samples.size());
}

TEST(Png, WhatIsWrittenIsReadUnchanged) {
    std::mt19937 random(7);
    for (const auto& [width, height] :
         {std::pair{1, 1}, {1, 400}, {400, 1}, {2, 3}, {31, 17}, {50, 50}, {63, 5}, {700, 301}}) {
        for (const int channels : {1, 3}) {
            for (const std::string kind : {"pattern", "noise", "one level", "slope", "columns"}) {
                SCOPED_TRACE(fmt::format("{} x {} x {}, {}", channels, height, width, kind));
                Image image = pattern(width, height, channels, 5);
                for (int i = 0; i < std::ssize(image.pixels) && kind != "pattern"; ++i) {
                    const int x = i % width, y = i / width % height;
                    const auto noise = static_cast<int>(random());
                    image.pixels[i] = static_cast<std::uint8_t>(
                        kind == "noise"       ? noise
                        : kind == "one level" ? 130
                        : kind == "slope"     ? 2 * x + 3 * y + noise % 2
                                              : 97 * (x * x % 11) + noise % 2);
                }
                const std::vector<std::uint8_t> file = encode_png(image);
                const Image back = decode_png(file, channels, "x");
                ASSERT_EQ(back.width, width);
                ASSERT_EQ(back.height, height);
                ASSERT_TRUE(back.pixels == image.pixels);
                Image plain;
                ASSERT_TRUE(decode_plain_png(file, channels, plain));
                ASSERT_TRUE(plain.pixels == image.pixels);
                ASSERT_TRUE(planar(interleaved_by_libpng(file, channels).data(), width, height,
                                   channels, channels)
                                .pixels == image.pixels);
            }
        }
    }
}

TEST(Png, SameImageSameBytes) {
    const Image image = pattern(50, 50, 3, 1);
    EXPECT_EQ(encode_png(image), encode_png(image));
}

/// By libpng: every row through one of `filters`, the compressed rows in chunks of `chunk` bytes.
std::vector<std::uint8_t> filtered_png(const Image& image, int filters, std::size_t chunk) {
    std::vector<std::uint8_t> file;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(
        png, &file,
        [](png_structp writer, png_bytep bytes, png_size_t count) {
            auto& to = *static_cast<std::vector<std::uint8_t>*>(png_get_io_ptr(writer));
            to.insert(to.end(), bytes, bytes + count);
        },
        nullptr);
    png_set_IHDR(png, info, image.width, image.height, 8,
                 image.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_filter(png, PNG_FILTER_TYPE_BASE, filters);
    png_set_compression_buffer_size(png, chunk);
    png_set_gAMA(png, info, 0.5); // may be passed over
    png_write_info(png, info);
    const int plane = image.width * image.height;
    std::vector<std::uint8_t> row(static_cast<std::size_t>(image.width) * image.channels);
    for (int y = 0; y < image.height; ++y) {
        for (int i = 0; i < image.width * image.channels; ++i) {
            row[i] =
                image.pixels[i % image.channels * plane + y * image.width + i / image.channels];
        }
        png_write_row(png, row.data());
    }
    png_write_end(png, nullptr);
    png_destroy_write_struct(&png, &info);
    return file;
}

TEST(Png, PlainFilesAreReadWithoutLibpng) {
    for (const int channels : {1, 3}) {
        for (const int filter : {PNG_FILTER_NONE, PNG_FILTER_SUB, PNG_FILTER_UP, PNG_FILTER_AVG,
                                 PNG_FILTER_PAETH, PNG_ALL_FILTERS}) {
            SCOPED_TRACE(fmt::format("{} channels, filters {}", channels, filter));
            const Image image = pattern(23, 19, channels, 7);
            for (const std::size_t chunk : {std::size_t{6}, std::size_t{1} << 16}) {
                Image plain;
                ASSERT_TRUE(decode_plain_png(filtered_png(image, filter, chunk), channels, plain));
                EXPECT_EQ(plain.pixels, image.pixels);
            }
        }
    }
    // What it cannot do it leaves to libpng, and it never makes something else of a damaged file.
    for (const PngRecipe& recipe : all_recipes()) {
        const std::vector<std::uint8_t> file = make_png(recipe, recipe_samples(recipe));
        const bool plain =
            recipe.depth == 8 && !recipe.interlaced && !recipe.transparency &&
            (recipe.colour == PNG_COLOR_TYPE_RGB || recipe.colour == PNG_COLOR_TYPE_GRAY);
        Image image;
        EXPECT_EQ(decode_plain_png(file, 3, image), plain) << recipe.text();
    }
    const Image image = pattern(9, 8, 3, 2);
    const std::vector<std::uint8_t> file = filtered_png(image, PNG_ALL_FILTERS, 40);
    for (std::size_t i = 0; i < 8 * file.size(); ++i) {
        std::vector<std::uint8_t> bad = file;
        bad[i / 8] ^= static_cast<std::uint8_t>(1 << i % 8);
        Image read;
        EXPECT_TRUE(!decode_plain_png(bad, 3, read) || read.pixels == image.pixels) << "bit " << i;
        EXPECT_FALSE(decode_plain_png(std::span(file).first(i / 8), 3, read));
    }
}

TEST(Png, GreyOfWhiteAndBlackIsExact) {
    for (const std::uint8_t value : {0, 255}) {
        Image image{3, 2, 3, std::vector<std::uint8_t>(18, value)};
        EXPECT_EQ(decode_png(encode_png(image), 1, "x").pixels,
                  std::vector<std::uint8_t>(6, value));
    }
}

TEST(Png, EveryTruncationIsRefusedWithTheName) {
    for (const bool interlaced : {false, true}) {
        const PngRecipe recipe{PNG_COLOR_TYPE_RGB, 8, interlaced, false};
        const std::vector<std::uint8_t> file = make_png(recipe, recipe_samples(recipe));
        for (std::size_t size = 0; size < file.size(); ++size) {
            const std::string error =
                error_of([&] { decode_png(std::span(file).first(size), 3, "cut.png"); });
            ASSERT_TRUE(error.starts_with("cut.png: ")) << size << " of " << file.size();
        }
    }
}

TEST(Png, EveryFlippedByteIsRefused) {
    const PngRecipe recipe{PNG_COLOR_TYPE_GRAY, 8, false, false};
    const std::vector<std::uint8_t> file = make_png(recipe, recipe_samples(recipe));
    for (std::size_t i = 0; i < file.size(); ++i) {
        std::vector<std::uint8_t> bad = file;
        bad[i] ^= 0x10;
        EXPECT_THROW(decode_png(bad, 1, "x"), PictureError) << "byte " << i;
    }
}

TEST(Png, ReasonsAreGiven) {
    const auto reason = [](std::span<const std::uint8_t> bytes) {
        try {
            decode_png(bytes, 3, "f.png");
        } catch (const PictureError& error) {
            EXPECT_NE(std::string(error.what()).find("; "), std::string::npos);
            return error.reason();
        }
        return std::string("none");
    };
    EXPECT_EQ(reason({}), "the file is empty");
    const std::vector<std::uint8_t> jpeg{0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F'};
    EXPECT_EQ(reason(jpeg), "not a PNG file");
}

TEST(Png, AHeaderCannotTakeMemory) {
    // 33 bytes that claim 60000 x 60000, and 8000 x 4000 with hardly any data.
    for (const auto& [width, height] : {std::pair{60000u, 60000u}, std::pair{8000u, 4000u}}) {
        std::vector<std::uint8_t> file = encode_png(pattern(1, 1, 3, 1));
        for (int b = 0; b < 4; ++b) {
            file[16 + b] = static_cast<std::uint8_t>(width >> (24 - 8 * b));
            file[20 + b] = static_cast<std::uint8_t>(height >> (24 - 8 * b));
        }
        const auto sum = static_cast<std::uint32_t>(crc32_z(0, file.data() + 12, 17));
        for (int b = 0; b < 4; ++b) {
            file[29 + b] = static_cast<std::uint8_t>(sum >> (24 - 8 * b));
        }
        EXPECT_THROW(decode_png(file, 3, "bomb.png"), PictureError);
    }
}

TEST(Png, WrongCallsAreInvalidArguments) {
    const std::vector<std::uint8_t> file = encode_png(pattern(2, 2, 3, 1));
    EXPECT_THROW(decode_png(file, 2, "x"), std::invalid_argument);
    EXPECT_THROW(encode_png(Image{2, 2, 3, std::vector<std::uint8_t>(5)}), std::invalid_argument);
    EXPECT_THROW(encode_png(Image{0, 2, 3, {}}), std::invalid_argument);
    EXPECT_THROW(encode_png(Image{2, 2, 4, std::vector<std::uint8_t>(16)}), std::invalid_argument);
}

class PngFileTest : public FolderTest {};

TEST_F(PngFileTest, FilesAndSizes) {
    const auto path = folder_ / "Gewebe Nr. 1 – ä.png";
    write_png(path, pattern(7, 9, 3, 3));
    EXPECT_EQ(read_picture(path).pixels, pattern(7, 9, 3, 3).pixels);
    EXPECT_EQ(read_picture_size(path), (PictureSize{7, 9}));
    EXPECT_THROW(read_picture(folder_ / "missing.png"), std::runtime_error);
    EXPECT_THROW(read_picture_size(folder_ / "missing.png"), PictureError);
    EXPECT_THROW(read_picture(folder_), std::runtime_error);
    write_text(folder_ / "short.png", read_text(path).substr(0, 20));
    EXPECT_THROW(read_picture_size(folder_ / "short.png"), PictureError);
}

} // namespace
} // namespace patchforge
