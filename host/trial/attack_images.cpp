#include "host/trial/attack_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>
#include <stdexcept>

#include "host/model/class_names.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

Image image_of(std::span<const std::uint8_t> levels, const ClassifierFormat& format) {
    return {format.width, format.height, format.channels, {levels.begin(), levels.end()}};
}

std::span<const std::uint8_t> patch_of(const AttackResult& result, const AttackSet& set,
                                       std::size_t i) {
    const std::size_t pixels = set.levels.size() / set.labels.size();
    return {result.levels.data() + i * pixels, pixels};
}

std::string called(const ClassifierFormat& format, std::int32_t answer, float confidence) {
    return fmt::format("{} {:.2f}", format.class_names[answer], confidence);
}

} // namespace

SavedImages save_images(const fs::path& folder, const AttackResult& result, const AttackSet& set,
                        const ClassifierFormat& format, Norm norm) {
    if (fs::exists(folder) && !fs::is_empty(folder)) {
        throw std::invalid_argument(
            fmt::format("{}: holds files already; name another folder", folder.string()));
    }
    const std::vector<std::string> folders = class_folders(format.class_names);
    for (const std::string& name : folders) {
        fs::create_directories(folder / name);
    }
    SavedImages saved;
    std::set<fs::path> taken;
    const int radius = std::isfinite(result.epsilon) ? grid_radius(result.epsilon) : 255;
    for (std::size_t i = 0; i < result.samples.size(); ++i) {
        const fs::path within = folder / folders[set.labels[i]];
        std::string name =
            i < set.names.size() && !set.names[i].empty()
                ? fs::path(set.names[i]).filename().replace_extension(".png").string()
                : fmt::format("{:06}.png", i);
        // Names of files are those of samples, whose folders may differ: each is used once, this one or a longer one.
        for (const std::string own = name; !taken.insert(within / name).second;) {
            name = fmt::format("{:06}_{}", i, own.size() < 240 ? name : ".png");
        }
        const auto levels = patch_of(result, set, i);
        write_png(within / name, image_of(levels, format), OnDisk::later);
        const Image back = read_picture(within / name, format.channels);
        ++saved.files;
        saved.changed_on_disk +=
            !std::equal(levels.begin(), levels.end(), back.pixels.begin(), back.pixels.end());
        const auto origin = set.patch(static_cast<std::int64_t>(i));
        for (std::size_t p = 0; norm == Norm::linf && p < back.pixels.size(); ++p) {
            saved.outside_ball += std::abs(int{back.pixels[p]} - int{origin[p]}) > radius;
        }
    }
    bring_to_disk(folder);
    return saved;
}

// Broken samples, in turn of each class: of "no cancer" and "cancer", missed cancers are the case
// that matters. Without any the same of all samples.
std::vector<std::size_t> samples_shown(const AttackResult& result, const AttackSet& set, int rows) {
    std::map<std::int32_t, std::deque<std::size_t>> broken, all;
    for (std::size_t i = 0; i < result.samples.size(); ++i) {
        const std::int32_t label = set.labels[i];
        all[label].push_back(i);
        if (result.samples[i].right(label) && result.samples[i].rounded_broken(label)) {
            broken[label].push_back(i);
        }
    }
    auto& classes = broken.empty() ? all : broken;
    std::vector<std::size_t> shown;
    while (!classes.empty() && shown.size() < static_cast<std::size_t>(rows)) {
        for (auto& [label, samples] : classes) {
            if (shown.size() < static_cast<std::size_t>(rows)) {
                shown.push_back(samples.front());
                samples.pop_front();
            }
        }
        std::erase_if(classes, [](const auto& one) { return one.second.empty(); });
    }
    std::ranges::sort(shown, {}, [&](std::size_t i) { return std::pair(set.labels[i], i); });
    return shown;
}

PictureSheet attack_sheet(const AttackResult& result, const AttackSet& set,
                          const ClassifierFormat& format, int rows) {
    const std::vector<std::size_t> shown = samples_shown(result, set, rows);
    int largest = 1;
    for (const std::size_t i : shown) {
        const auto origin = set.patch(static_cast<std::int64_t>(i));
        const auto levels = patch_of(result, set, i);
        for (std::size_t p = 0; p < levels.size(); ++p) {
            largest = std::max(largest, std::abs(int{levels[p]} - int{origin[p]}));
        }
    }
    const double amplify = std::max(1.0, std::floor(127.0 / largest));
    PictureSheet sheet{
        .column_names = {"original", fmt::format("change × {:.0f}", amplify), "adversarial"},
        .scale = 2};
    for (const std::size_t i : shown) {
        const SampleOutcome& sample = result.samples[i];
        const auto origin = set.patch(static_cast<std::int64_t>(i));
        const auto levels = patch_of(result, set, i);
        Image difference = image_of(levels, format);
        for (std::size_t p = 0; p < levels.size(); ++p) {
            const double d = (int{levels[p]} - int{origin[p]}) * amplify;
            difference.pixels[p] = static_cast<std::uint8_t>(std::clamp(128 + d, 0.0, 255.0));
        }
        sheet.rows.push_back({image_of(origin, format), difference, image_of(levels, format)});
        sheet.row_names.push_back(called(format, sample.clean, sample.clean_confidence) + " → " +
                                  called(format, sample.rounded, sample.rounded_confidence));
    }
    return sheet;
}

} // namespace patchforge
