#include "host/evaluate/compared_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <stdexcept>

#include "data/class_match.h"
#include "host/run/run_folder.h"
#include "host/session/open_set.h"
#include "kernels/shuffle.h"

namespace patchforge {

std::vector<std::int32_t> all_rows(const PackedSet& set) {
    std::vector<std::int32_t> rows(static_cast<std::size_t>(set.count()));
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
}

void require_one_size(const std::string& of, const Extent& fakes, const Extent& patches) {
    if (fakes != patches) {
        throw std::runtime_error(
            fmt::format("{}: fakes of {}, patches of {}; compare images of one size", of,
                        fakes.text(), patches.text()));
    }
}

ImageSet images_at(const PackedSet& set, std::span<const std::int32_t> rows) {
    ImageSet images{extent_of(set), {}, {}};
    for (const std::int32_t row : rows) {
        const auto patch = set.patch(row);
        images.bytes.insert(images.bytes.end(), patch.begin(), patch.end());
        images.labels.push_back(set.labels()[row]);
        images.patients.push_back(set.patients()[row]);
    }
    return images;
}

ImageSet subjects_at(const PackedSet& set, std::span<const std::int32_t> rows) {
    ImageSet images = images_at(set, rows);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        images.patients[i] = images.patients[i] < 0 ? rows[i] : images.patients[i];
    }
    return images;
}

std::vector<std::int32_t> shuffled_rows(const std::vector<std::int32_t>& rows, std::int64_t count,
                                        std::uint64_t seed, std::int64_t skipped) {
    const auto available = static_cast<std::uint32_t>(rows.size());
    const auto first = static_cast<std::uint32_t>(std::min<std::int64_t>(skipped, available));
    const std::uint32_t end =
        first + std::min(available - first, static_cast<std::uint32_t>(count));
    std::vector<std::int32_t> chosen;
    for (std::uint32_t i = first; i < end; ++i) {
        chosen.push_back(rows[shuffled_row(seed, 0, i, available)]);
    }
    return chosen;
}

ImageSet images_of(const PackedSet& set, const std::vector<std::int32_t>& rows, std::int64_t count,
                   std::uint64_t seed, std::int64_t skipped) {
    return images_at(set, shuffled_rows(rows, count, seed, skipped));
}

ImageSet fakes_like(ImageGenerator& generator, std::span<const std::string> class_names,
                    const ImageSet& reference, std::int64_t count, std::uint64_t seed) {
    const GeneratorFormat& format = generator.format();
    ImageSet fakes{format.extent(), {}, {}};
    const std::vector<std::int32_t> class_of_label = match_classes(class_names, format.classes);
    std::vector<std::int32_t> classes;
    for (std::int64_t i = 0; i < count && !format.classes.empty(); ++i) {
        const std::int32_t label = reference.labels[i % std::ssize(reference.labels)];
        if (label >= 0 && class_of_label[label] >= 0) {
            classes.push_back(class_of_label[label]);
            fakes.labels.push_back(label);
        }
    }
    if (std::ssize(classes) < count) { // no classes, or not those of the set
        fakes.labels.clear();
        fakes.bytes = generator.bytes(generator.latents(count, seed));
    } else {
        fakes.bytes = generator.bytes(generator.latents_of(classes, seed));
    }
    return fakes;
}

ImageSet fakes_of(const PackedSet& files, std::span<const std::string> class_names,
                  std::int64_t count, std::uint64_t seed) {
    ImageSet fakes = images_of(files, all_rows(files), count, seed);
    const std::vector<std::int32_t> label_of = match_classes(files.class_names(), class_names);
    for (std::int32_t& label : fakes.labels) {
        label = label < 0 ? -1 : label_of[label];
    }
    if (std::ranges::count(fakes.labels, -1) > 0) {
        fakes.labels.clear();
    }
    return fakes;
}

HeldOut held_out_by(const std::filesystem::path& run, const PackedSet& set) {
    std::map<std::string, std::string> began = parameter_texts(read_parameters(run));
    return {began["data"], began["data_hash"] == hash_of(set), std::stoll(began["test_patients"]),
            std::stoull(began["seed"])};
}

} // namespace patchforge
