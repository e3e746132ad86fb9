// The patches and fakes that are compared: whose patches, and fakes of the same classes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/packed_set.h"
#include "host/evaluate/image_extractors.h"
#include "host/model/image_generator.h"

namespace patchforge {

std::vector<std::int32_t> all_rows(const PackedSet& set);

// std::runtime_error where the fakes `of` a folder or generator are of another size than the patches.
void require_one_size(const std::string& of, const Extent& fakes, const Extent& patches);

// The patches of these rows, in their order.
ImageSet images_at(const PackedSet& set, std::span<const std::int32_t> rows);
// The same for real_or_fake: where patients are not known every patch is one.
ImageSet subjects_at(const PackedSet& set, std::span<const std::int32_t> rows);

// At most `count` of the rows behind the first `skipped`, in an order of the seed.
std::vector<std::int32_t> shuffled_rows(const std::vector<std::int32_t>& rows, std::int64_t count,
                                        std::uint64_t seed, std::int64_t skipped = 0);
// Their patches.
ImageSet images_of(const PackedSet& set, const std::vector<std::int32_t>& rows, std::int64_t count,
                   std::uint64_t seed, std::int64_t skipped = 0);

// A conditional generator's fakes take the classes of the reference's images, one by one and round
// and round, so both sides hold the same shares of classes. Labels are numbers in `class_names`, those
// of the reference; none where the generator knows no classes, or others.
ImageSet fakes_like(ImageGenerator& generator, std::span<const std::string> class_names,
                    const ImageSet& reference, std::int64_t count, std::uint64_t seed);

// Fakes that lie in files, `count` at most in an order of the seed; labels as above.
ImageSet fakes_of(const PackedSet& files, std::span<const std::string> class_names,
                  std::int64_t count, std::uint64_t seed);

// Which patients of `set` a GAN's run held out, as its parameters say.
struct HeldOut {
    std::string data;       // that it was trained on
    bool same_data = false; // `set` is that; else the rest says nothing of it
    std::int64_t patients = 0;
    std::uint64_t seed = 0; // of split_by_patient
};
HeldOut held_out_by(const std::filesystem::path& run, const PackedSet& set);

} // namespace patchforge
