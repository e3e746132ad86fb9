#include "host/translate/picture_pairs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

#include "data/cubic.h"
#include "data/escape.h"
#include "data/resample.h"
#include "host/classifier/classifier_data.h"
#include "host/session/open_set.h"
#include "kernels/stain_change.h"

namespace patchforge {

namespace {

Extent extent_of(const Image& picture) {
    return {picture.channels, picture.height, picture.width};
}

void append(std::vector<std::uint8_t>& rows, const Image& picture) {
    rows.insert(rows.end(), picture.pixels.begin(), picture.pixels.end());
}

// Rows of `target` by the names of `set`, whatever the ending.
std::vector<std::int64_t> partners(const PackedSet& set, const PackedSet& target) {
    const auto stem = [](std::string_view name) {
        return std::string(name.substr(0, name.find_last_of('.')));
    };
    std::map<std::string, std::int64_t> rows;
    for (std::int64_t i = 0; i < target.count(); ++i) {
        rows[stem(target.name(i))] = i;
    }
    std::vector<std::int64_t> result;
    for (std::int64_t i = 0; i < set.count(); ++i) {
        const auto found = rows.find(stem(set.name(i)));
        if (found == rows.end()) {
            throw std::invalid_argument(fmt::format(
                "--target {}: has no picture named as {} of --data; pairs are of equal names",
                target.path().string(), terminal_text(std::string(set.name(i)))));
        }
        result.push_back(found->second);
    }
    return result;
}

} // namespace

void require_alike(const PackedSet& set, const PackedSet& target) {
    if (extent_of(set) != extent_of(target)) {
        throw std::invalid_argument(fmt::format(
            "--target {}: its pictures are not of the size and colours of --data {}; give a set of "
            "the same kind",
            target.path().string(), set.path().string()));
    }
}

Image without_eosin(const Image& picture) {
    if (picture.channels != 3) {
        throw std::invalid_argument(
            "--pairs stain: grey pictures have no stain; use --pairs edges or low-resolution");
    }
    static constexpr StainParts stains;
    constexpr int eosin = 1;
    const std::size_t plane = static_cast<std::size_t>(picture.width) * picture.height;
    Image result = picture;
    for (std::size_t at = 0; at < plane; ++at) {
        double logarithm[3];
        for (std::size_t c = 0; c < 3; ++c) {
            logarithm[c] = std::log(
                std::max(picture.pixels[c * plane + at] / 255.0, static_cast<double>(stain_floor)));
        }
        for (std::size_t i = 0; i < 3; ++i) {
            double rest = logarithm[i];
            for (std::size_t j = 0; j < 3; ++j) {
                rest -= logarithm[j] * stains.part[eosin][j][i];
            }
            result.pixels[i * plane + at] =
                static_cast<std::uint8_t>(std::lround(255 * std::min(1.0, std::exp(rest))));
        }
    }
    return result;
}

Image edge_drawing(const Image& picture) {
    const int width = picture.width, height = picture.height;
    const std::size_t plane = static_cast<std::size_t>(width) * height;
    const auto grey = [&](int y, int x) -> double {
        const std::size_t at = static_cast<std::size_t>(std::clamp(y, 0, height - 1)) * width +
                               static_cast<std::size_t>(std::clamp(x, 0, width - 1));
        return picture.channels == 1 ? picture.pixels[at]
                                     : grey_of(picture.pixels[at], picture.pixels[plane + at],
                                               picture.pixels[2 * plane + at]);
    };
    Image result{width, height, 1, {}};
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            double down = 0, across = 0;
            for (const int k : {-1, 0, 1}) {
                const double weight = k == 0 ? 2 : 1;
                down += weight * (grey(y + 1, x + k) - grey(y - 1, x + k));
                across += weight * (grey(y + k, x + 1) - grey(y + k, x - 1));
            }
            const double ink = std::min(255.0, std::hypot(down, across) / 2);
            result.pixels.push_back(static_cast<std::uint8_t>(std::lround(255 - ink)));
        }
    }
    return result;
}

Image halved_bicubic(const Image& picture) {
    return resize_cubic(picture, picture.width / 2, picture.height / 2, pil_cubic);
}

Image cut_to_even(const Image& picture) {
    return pad_to(picture, picture.width / 2 * 2, picture.height / 2 * 2);
}

Image pair_target(const Image& picture, const TranslateOptions& options) {
    return options.mode == TranslationMode::super_resolution ? cut_to_even(picture) : picture;
}

Image pair_source(const Image& picture, const TranslateOptions& options) {
    if (options.mode == TranslationMode::super_resolution) {
        return halved_bicubic(cut_to_even(picture));
    }
    switch (options.pairs) {
    case PairSource::stain:
        return without_eosin(picture);
    case PairSource::edges:
        return edge_drawing(picture);
    case PairSource::low_resolution:
        break;
    }
    return resize_cubic(
        resize_cubic(picture, (picture.width + 1) / 2, (picture.height + 1) / 2, pil_cubic),
        picture.width, picture.height, pil_cubic);
}

PicturePairs picture_pairs(const PackedSet& set, const PackedSet* target,
                           const TranslateOptions& options) {
    const ClassifierData data = classifier_data(
        set, nullptr, {options.test_patients, 0, options.split_seed, options.test_list});
    if (target && (target->width() != set.width() || target->height() != set.height())) {
        throw std::invalid_argument(fmt::format(
            "--target {}: its pictures are {} x {}, those of --data {} x {}; give equal sizes",
            target->path().string(), target->width(), target->height(), set.width(), set.height()));
    }
    const std::vector<std::int64_t> of_target =
        target ? partners(set, *target) : std::vector<std::int64_t>{};
    const PatchRows targets = target ? rows_of(*target) : PatchRows{};
    PicturePairs pairs;
    pairs.how = data.how;
    const auto pair_of = [&](const PatchRows& patches, std::int64_t i) {
        const Image picture = picture_of(patches, i);
        if (target) {
            return std::pair(picture, picture_of(targets, of_target[patches.row(i)]));
        }
        return std::pair(pair_source(picture, options), pair_target(picture, options));
    };
    for (std::int64_t i = 0; i < data.train.used(); ++i) {
        const auto [source, made] = pair_of(data.train, i);
        pairs.source = extent_of(source);
        pairs.target = extent_of(made);
        append(pairs.rows, source);
        append(pairs.rows, made);
        ++pairs.count;
    }
    for (std::int64_t i = 0; i < data.test.used(); ++i) {
        auto [source, made] = pair_of(data.test, i);
        pairs.test_sources.push_back(std::move(source));
        pairs.test_targets.push_back(std::move(made));
    }
    return pairs;
}

} // namespace patchforge
