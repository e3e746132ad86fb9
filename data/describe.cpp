#include "data/describe.h"

#include "data/idx.h"
#include "data/packed_set.h"
#include "data/patch_folder.h"
#include "data/png.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <stdexcept>

namespace patchforge {

namespace {

namespace fs = std::filesystem;

/// "no cancer 2809, cancer 2239"; at most 12 classes are named.
std::string classes_text(std::span<const std::string> names,
                         const std::vector<std::int64_t>& counts) {
    std::string text;
    for (std::size_t c = 0; c < names.size() && c < 12; ++c) {
        text += fmt::format("{}{} {}", c == 0 ? "" : ", ", names[c], counts[c]);
    }
    if (names.size() > 12) {
        text += fmt::format(", … {} classes in all", names.size());
    }
    return names.empty() ? "none" : text;
}

Facts describe_packed_set(const fs::path& path) {
    const PackedSet set = PackedSet::open(path);
    set.verify();
    return {{"kind", "packed set of patches (.pfs, version 1)"},
            {"patches", std::to_string(set.count())},
            {"size", fmt::format("{} x {} x {} (channels, height, width)", set.channels(),
                                 set.height(), set.width())},
            {"classes", classes_text(set.class_names(), set.class_counts())},
            {"patients",
             set.patient_names().empty() ? "unknown" : std::to_string(set.patient_names().size())},
            {"packed from", set.source_layout()},
            {"bytes", std::to_string(set.file_bytes())},
            {"content hash", fmt::format("{:016x}", set.content_hash())},
            {"checksums", "all match"}};
}

Facts describe_folder(const fs::path& path) {
    const PatchFolder folder = scan_patch_folder(path);
    Facts facts{{"kind", "folder of patches"}, {"layout", layout_name(folder.layout)}};
    if (folder.layout == Layout::idx) {
        for (const IdxPair& pair : folder.idx_pairs) {
            facts.emplace_back(pair.part, pair.images.filename().string() +
                                              (pair.labels.empty() ? ", no labels" : ", labels"));
        }
        return facts;
    }
    std::vector<std::int64_t> counts(folder.class_names.size());
    for (const PatchEntry& entry : folder.entries) {
        if (entry.label >= 0) {
            ++counts[entry.label];
        }
    }
    facts.emplace_back("PNG files", std::to_string(folder.entries.size()));
    facts.emplace_back("classes", classes_text(folder.class_names, counts));
    facts.emplace_back("patients", folder.patient_names.empty()
                                       ? "unknown"
                                       : std::to_string(folder.patient_names.size()));
    if (!folder.entries.empty()) {
        facts.emplace_back("first", folder.entries.front().path);
    }
    std::map<std::string, std::int64_t> reasons;
    for (const IgnoredFile& file : folder.ignored) {
        ++reasons[file.reason];
    }
    for (const auto& [reason, count] : reasons) {
        facts.emplace_back("ignored", fmt::format("{} ({})", count, reason));
    }
    return facts;
}

Facts describe_png(const fs::path& path) {
    const Image image = read_png(path);
    const std::size_t plane = static_cast<std::size_t>(image.width) * image.height;
    const auto* red = image.pixels.data();
    const bool grey =
        std::equal(red, red + plane, red + plane) && std::equal(red, red + plane, red + 2 * plane);
    return {{"kind", "PNG picture"},
            {"size", fmt::format("{} x {} (width, height)", image.width, image.height)},
            {"colours", grey ? "grey" : "RGB"}};
}

Facts describe_idx(const fs::path& path) {
    const IdxArray array = read_idx(path);
    return {{"kind", "IDX array of bytes"},
            {"sizes", fmt::format("{}", fmt::join(array.sizes, " x "))}};
}

bool named_idx(const fs::path& path) {
    const std::string name = path.filename().string();
    return name.ends_with("-ubyte") || name.ends_with("-ubyte.gz");
}

bool named_png(const fs::path& path) {
    const std::string ending = path.extension().string();
    return ending == ".png" || ending == ".PNG";
}

} // namespace

bool is_data(const fs::path& path) {
    return fs::is_directory(path) || is_packed_set(path) || path.extension() == ".pfs" ||
           named_png(path) || named_idx(path);
}

Facts describe_data(const fs::path& path) {
    if (!fs::exists(path)) {
        throw std::runtime_error(fmt::format("{}: does not exist; check the path", path.string()));
    }
    if (fs::is_directory(path)) {
        return describe_folder(path);
    }
    if (is_packed_set(path) || path.extension() == ".pfs") {
        return describe_packed_set(path);
    }
    if (named_png(path)) {
        return describe_png(path);
    }
    if (named_idx(path)) {
        return describe_idx(path);
    }
    throw std::runtime_error(fmt::format("{}: not a file of a kind known here; give a .pfs file, a "
                                         "PNG, an IDX file or a folder of patches",
                                         path.string()));
}

} // namespace patchforge
