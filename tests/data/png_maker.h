#pragma once

#include <png.h>

#include <cstdint>
#include <string>
#include <vector>

/// Makes PNG files of every kind with libpng, from sample values that the tests know.
namespace patchforge {

struct PngRecipe {
    int colour; // PNG_COLOR_TYPE_…
    int depth;  // bits a sample
    bool interlaced;
    bool transparency; // a tRNS chunk; only for colour types without alpha
    int width = 13;    // ragged: not a multiple of the 8 x 8 interlace pattern
    int height = 11;

    std::string text() const;
};

/// The 15 pairs of colour type and depth, plain and interlaced, with and without tRNS.
std::vector<PngRecipe> all_recipes();

int samples_per_pixel(const PngRecipe& recipe);
int palette_entry(int index, int channel);
int palette_alpha(int index);
/// The sample that tRNS makes transparent: that of pixel 5.
int transparent_sample(const PngRecipe& recipe, int channel);
/// (height, width, samples_per_pixel), each 0 … 2^depth - 1.
std::vector<int> recipe_samples(const PngRecipe& recipe);
std::vector<std::uint8_t> make_png(const PngRecipe& recipe, const std::vector<int>& samples);

} // namespace patchforge
