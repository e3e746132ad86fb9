// An evaluation as a table for the console and as a page.
#pragma once

#include <filesystem>
#include <string>

#include "host/evaluate/image_evaluation.h"
#include "host/page/image_grid.h"

namespace patchforge {

class Report;

// Least R² of the line through the Fréchet distances of 15 subsets for its intercept to be shown:
// the slope's standard error is then below sqrt((1 - R²) / (13 R²)) = 14 % of the slope, and so is
// that of the correction it makes. JSON lines hold every intercept with its R².
constexpr double least_r_squared = 0.8;

// One line a measure: its value, and what real patches, noise and another class give.
std::string evaluation_table(const ImageEvaluation& evaluation);

// Generated | nearest training | nearest held-out patch, the nearest first.
PictureSheet memorisation_sheet(const ImageEvaluation& evaluation, const ImageSet& generated,
                                const ImageSet& training, const ImageSet& held_out,
                                std::int64_t rows);

void add_evaluation_sections(Report& report, const ImageEvaluation& evaluation,
                             const ImageSet& generated, const ImageSet& training,
                             const ImageSet& held_out);

} // namespace patchforge
