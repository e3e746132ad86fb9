// The pairs that `train translate` learns from: pictures, what they are to become, and those held out.
#pragma once

#include <string>
#include <vector>

#include "data/packed_set.h"
#include "data/picture.h"
#include "host/train/batches.h"
#include "host/translate/translate_options.h"
#include "kernels/extent.h"

namespace patchforge {

// The picture without its eosin: taken apart by skimage's HED matrix, put together without E.
// std::invalid_argument for grey pictures.
Image without_eosin(const Image& picture);
// Lines along its edges as a pencil draws them, one channel: 255 minus half the length of Sobel's
// gradient of the grey picture.
Image edge_drawing(const Image& picture);
// Half the size: PIL's bicubic (stretched, a = -0.5), rounded to 8 bits. Even sides.
Image halved_bicubic(const Image& picture);
// Without its last line or column where there is an odd number: small pictures are made of what is
// left, so that both show the same.
Image cut_to_even(const Image& picture);

// What a source is made of a picture in super-resolution and in pairs that are not of two folders.
Image pair_source(const Image& picture, const TranslateOptions& options);
// What it is to become.
Image pair_target(const Image& picture, const TranslateOptions& options);

// std::invalid_argument unless the pictures of both sets are of one size and have as many colours.
void require_alike(const PackedSet& set, const PackedSet& target);

struct PicturePairs {
    Extent source, target;
    std::vector<std::uint8_t> rows; // [count, source + target]: of training
    std::int64_t count = 0;
    std::vector<Image> test_sources, test_targets;
    std::string how; // the pictures were parted, in words

    // For the training loop: a row is a source with its target. Must not outlive this.
    PatchRows training() const {
        return {rows.data(), count, 1, 1, static_cast<int>(source.size() + target.size()), {}, {}};
    }
};

// `target`: the set of --target, or none. Throws what classifier_data throws, and
// std::invalid_argument where names have no partner or sizes differ.
PicturePairs picture_pairs(const PackedSet& set, const PackedSet* target,
                           const TranslateOptions& options);

} // namespace patchforge
