// An evaluation as a table for the console and as a page.
#pragma once

#include <filesystem>
#include <string>

#include "data/png.h"
#include "host/evaluate/image_evaluation.h"

namespace patchforge {

class Report;

// One line a measure: its value, and what real patches, noise and another class give.
std::string evaluation_table(const ImageEvaluation& evaluation);

// Generated | nearest training | nearest held-out patch, the nearest first.
Image memorisation_sheet(const ImageEvaluation& evaluation, const ImageSet& generated,
                         const ImageSet& training, const ImageSet& held_out, std::int64_t rows);

void add_evaluation_sections(Report& report, const ImageEvaluation& evaluation,
                             const ImageSet& generated, const ImageSet& training,
                             const ImageSet& held_out);

} // namespace patchforge
