// What a classifier calls right and wrong, in pictures.
#pragma once

#include <cstdint>
#include <span>

#include "host/model/classifier_model.h"
#include "host/page/image_grid.h"
#include "host/train/batches.h"

namespace patchforge {

// Of each class (at most five) a row of patches called right and one of those called wrong, with how many
// there are of each; evenly spaced through the set, so that nobody chose them. `called` and `labels`: one
// number a used row.
PictureSheet right_and_wrong(const PatchRows& patches, std::span<const std::int32_t> labels,
                             std::span<const std::int32_t> called, const ClassifierFormat& format);

} // namespace patchforge
