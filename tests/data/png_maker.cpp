#include "tests/data/png_maker.h"

#include <stdexcept>

namespace patchforge {

namespace {

int sample_at(const PngRecipe& recipe, int pixel, int channel) {
    const unsigned mixed = (pixel * 2654435761u) ^ (channel * 40503u + 977u);
    return static_cast<int>((mixed >> 7) & ((1u << recipe.depth) - 1));
}

/// One row as libpng takes it: samples of 16 bits big-endian, below 8 bits packed, high bits first.
std::vector<std::uint8_t> packed_row(const PngRecipe& recipe, const std::vector<int>& samples,
                                     int y) {
    const int in_row = recipe.width * samples_per_pixel(recipe);
    std::vector<std::uint8_t> row((static_cast<std::size_t>(in_row) * recipe.depth + 7) / 8);
    for (int i = 0; i < in_row; ++i) {
        const int value = samples[static_cast<std::size_t>(y) * in_row + i];
        const int bit = i * recipe.depth;
        if (recipe.depth == 16) {
            row[bit / 8] = static_cast<std::uint8_t>(value >> 8);
            row[bit / 8 + 1] = static_cast<std::uint8_t>(value);
        } else {
            row[bit / 8] |= static_cast<std::uint8_t>(value << (8 - recipe.depth - bit % 8));
        }
    }
    return row;
}

void fail(png_structp, png_const_charp message) {
    throw std::logic_error(message);
}

void append(png_structp png, png_bytep bytes, png_size_t count) {
    auto& file = *static_cast<std::vector<std::uint8_t>*>(png_get_io_ptr(png));
    file.insert(file.end(), bytes, bytes + count);
}

} // namespace

std::string PngRecipe::text() const {
    return "colour type " + std::to_string(colour) + ", " + std::to_string(depth) + " bits" +
           (interlaced ? ", interlaced" : "") + (transparency ? ", tRNS" : "");
}

std::vector<PngRecipe> all_recipes() {
    std::vector<PngRecipe> recipes;
    const auto add = [&](int colour, std::initializer_list<int> depths, bool may_be_transparent) {
        for (const int depth : depths) {
            for (const bool interlaced : {false, true}) {
                recipes.push_back({colour, depth, interlaced, false});
                if (may_be_transparent) {
                    recipes.push_back({colour, depth, interlaced, true});
                }
            }
        }
    };
    add(PNG_COLOR_TYPE_GRAY, {1, 2, 4, 8, 16}, true);
    add(PNG_COLOR_TYPE_RGB, {8, 16}, true);
    add(PNG_COLOR_TYPE_PALETTE, {1, 2, 4, 8}, true);
    add(PNG_COLOR_TYPE_GRAY_ALPHA, {8, 16}, false);
    add(PNG_COLOR_TYPE_RGB_ALPHA, {8, 16}, false);
    return recipes;
}

int samples_per_pixel(const PngRecipe& recipe) {
    switch (recipe.colour) {
    case PNG_COLOR_TYPE_GRAY_ALPHA:
        return 2;
    case PNG_COLOR_TYPE_RGB:
        return 3;
    case PNG_COLOR_TYPE_RGB_ALPHA:
        return 4;
    default:
        return 1;
    }
}

int palette_entry(int index, int channel) {
    return (index * 83 + channel * 59 + 17) % 256;
}
int palette_alpha(int index) {
    return (index * 71 + 40) % 256;
}

int transparent_sample(const PngRecipe& recipe, int channel) {
    return sample_at(recipe, 5, channel);
}

std::vector<int> recipe_samples(const PngRecipe& recipe) {
    std::vector<int> samples;
    for (int pixel = 0; pixel < recipe.width * recipe.height; ++pixel) {
        for (int channel = 0; channel < samples_per_pixel(recipe); ++channel) {
            samples.push_back(sample_at(recipe, pixel, channel));
        }
    }
    return samples;
}

std::vector<std::uint8_t> make_png(const PngRecipe& recipe, const std::vector<int>& samples) {
    std::vector<std::uint8_t> file;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, fail, nullptr);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &file, append, nullptr);
    png_set_IHDR(png, info, recipe.width, recipe.height, recipe.depth, recipe.colour,
                 recipe.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (recipe.colour == PNG_COLOR_TYPE_PALETTE) {
        png_color palette[256];
        png_byte alpha[256];
        for (int i = 0; i < 256; ++i) {
            palette[i] = {static_cast<png_byte>(palette_entry(i, 0)),
                          static_cast<png_byte>(palette_entry(i, 1)),
                          static_cast<png_byte>(palette_entry(i, 2))};
            alpha[i] = static_cast<png_byte>(palette_alpha(i));
        }
        png_set_PLTE(png, info, palette, 1 << recipe.depth);
        if (recipe.transparency) {
            png_set_tRNS(png, info, alpha, 1 << recipe.depth, nullptr);
        }
    } else if (recipe.transparency) {
        png_color_16 colour{};
        colour.gray = static_cast<png_uint_16>(transparent_sample(recipe, 0));
        colour.red = static_cast<png_uint_16>(transparent_sample(recipe, 0));
        colour.green = static_cast<png_uint_16>(transparent_sample(recipe, 1));
        colour.blue = static_cast<png_uint_16>(transparent_sample(recipe, 2));
        png_set_tRNS(png, info, nullptr, 0, &colour);
    }
    png_write_info(png, info);
    std::vector<std::vector<std::uint8_t>> rows;
    std::vector<png_bytep> pointers;
    for (int y = 0; y < recipe.height; ++y) {
        rows.push_back(packed_row(recipe, samples, y));
    }
    for (auto& row : rows) {
        pointers.push_back(row.data());
    }
    png_write_image(png, pointers.data());
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return file;
}

} // namespace patchforge
