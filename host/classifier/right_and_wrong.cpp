#include "host/classifier/right_and_wrong.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "data/picture.h"

namespace patchforge {

namespace {

constexpr std::int64_t pictures_a_row = 8;
constexpr std::size_t most_classes = 5;

} // namespace

PictureSheet right_and_wrong(const PatchRows& patches, std::span<const std::int32_t> labels,
                             std::span<const std::int32_t> called, const ClassifierFormat& format) {
    PictureSheet sheet{.scale = sheet_scale(patches.width)};
    const std::vector<std::string>& names = format.class_names;
    for (std::size_t c = 0; c < std::min(most_classes, names.size()); ++c) {
        std::vector<std::int64_t> right, wrong;
        for (std::size_t i = 0; i < called.size(); ++i) {
            if (labels[i] == static_cast<std::int32_t>(c)) {
                (called[i] == labels[i] ? right : wrong).push_back(static_cast<std::int64_t>(i));
            }
        }
        const std::size_t total = right.size() + wrong.size();
        const std::string other = names.size() == 2 ? names[1 - c] : "something else";
        for (const auto& [positions, as] :
             {std::pair(&right, names[c]), std::pair(&wrong, other)}) {
            const std::int64_t shown = std::min(pictures_a_row, std::ssize(*positions));
            if (shown == 0) {
                continue;
            }
            std::vector<Image> pictures;
            for (std::int64_t i = 0; i < shown; ++i) {
                pictures.push_back(
                    picture_of(patches, (*positions)[i * positions->size() / shown]));
            }
            sheet.rows.push_back(std::move(pictures));
            sheet.row_names.push_back(
                fmt::format("{}, called {}: {} of {}", names[c], as, positions->size(), total));
        }
    }
    return sheet;
}

} // namespace patchforge
