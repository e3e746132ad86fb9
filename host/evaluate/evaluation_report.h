// An evaluation as a table for the console and as a page.
#pragma once

#include <string>

#include "host/evaluate/image_evaluation.h"
#include "host/page/image_grid.h"

namespace patchforge {

class Report;

// One line a measure: its value, and what real patches, noise and another class give.
std::string evaluation_table(const ImageEvaluation& evaluation);

// Real patches above fakes, class by class where both sides know theirs (at most five of them).
PictureSheet fakes_beside_real(const ImageSet& generated, const ImageSet& real,
                               const std::vector<std::string>& class_names);

// Generated | nearest training | nearest held-out patch, the nearest first.
PictureSheet memorisation_sheet(const ImageEvaluation& evaluation, const ImageSet& generated,
                                const ImageSet& training, const ImageSet& held_out,
                                std::int64_t rows);

// What the page shows beside the numbers.
struct EvaluatedImages {
    const ImageSet& generated;
    const ImageSet& training; // the real patches that the fakes are compared with
    const ImageSet& held_out; // or none
    const std::vector<std::string>& class_names;
};
void add_evaluation_sections(Report& report, const ImageEvaluation& evaluation,
                             const EvaluatedImages& images);

} // namespace patchforge
