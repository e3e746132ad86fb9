#include "data/describe.h"

#include "data/escape.h"
#include "data/file_kind.h"
#include "data/idx.h"
#include "data/mapped_file.h"
#include "data/packed_set.h"
#include "data/patch_folder.h"
#include "data/picture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

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
        text += fmt::format("{}{} {}", c == 0 ? "" : ", ", terminal_text(names[c]), counts[c]);
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
    PatchFolder folder = scan_patch_folder(path);
    remove_copies(folder);
    Facts facts{{"kind", fs::is_directory(path) ? "folder of patches" : "file of pictures"},
                {"layout", layout_name(folder.layout)},
                {"because", terminal_text(folder.reason)}};
    for (const auto& [part, count] : folder.parts) {
        facts.emplace_back("part " + part_name(part), std::to_string(count));
    }
    for (const StackPair& stack : folder.stacks) {
        facts.emplace_back(stack.part == Part::all ? "file" : part_name(stack.part),
                           stack.pictures.filename().string() +
                               (stack.labels.empty() ? ", no labels" : ", labels"));
    }
    std::vector<std::int64_t> counts(folder.class_names.size());
    for (const PatchEntry& entry : folder.entries) {
        if (entry.label >= 0) {
            ++counts[entry.label];
        }
    }
    if (folder.layout == Layout::arrays) {
        facts.emplace_back("classes", folder.class_names.empty()
                                          ? "none"
                                          : fmt::format("{}", fmt::join(folder.class_names, ", ")));
    } else {
        facts.emplace_back("pictures", std::to_string(folder.entries.size()));
        facts.emplace_back("classes", classes_text(folder.class_names, counts));
        facts.emplace_back("patients", folder.patient_names.empty()
                                           ? "unknown"
                                           : std::to_string(folder.patient_names.size()));
    }
    if (!folder.entries.empty()) {
        facts.emplace_back("first", terminal_text(folder.entries.front().path));
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

Facts describe_picture(const fs::path& path) {
    const Image image = read_picture(path);
    return {{"kind", "picture: " + file_kind(path).substr(2)},
            {"size", fmt::format("{} x {} (width, height)", image.width, image.height)},
            {"colours", is_grey(image) ? "grey" : "RGB"}};
}

Facts describe_idx(const fs::path& path) {
    const IdxArray array = read_idx(path);
    return {{"kind", "IDX array of bytes"},
            {"sizes", fmt::format("{}", fmt::join(array.sizes, " x "))}};
}

Facts describe_npy(const fs::path& path) {
    const MappedFile file(path);
    const NpyArray array(file.bytes(), path.string());
    return {{"kind", "NumPy array (.npy)"},
            {"sizes", fmt::format("{}", fmt::join(array.sizes(), " x "))}};
}

} // namespace

bool is_data(const fs::path& path) {
    const std::string name = path.filename().string();
    return fs::is_directory(path) || is_packed_set(path) || path.extension() == ".pfs" ||
           path.extension() == ".npy" || is_picture_name(name) || is_idx_name(name);
}

Facts describe_data(const fs::path& path) {
    std::error_code error;
    if (!fs::exists(path, error)) {
        throw std::runtime_error(fmt::format("{}: {}; check the path", path.string(),
                                             error ? error.message() : "does not exist"));
    }
    if (fs::is_directory(path)) {
        return describe_folder(path);
    }
    if (is_packed_set(path) || path.extension() == ".pfs") {
        return describe_packed_set(path);
    }
    const std::string name = path.filename().string();
    if (is_picture_name(name)) {
        return describe_picture(path);
    }
    if (path.extension() == ".npy") {
        return describe_npy(path);
    }
    if (is_idx_name(name)) {
        return describe_idx(path);
    }
    throw std::runtime_error(
        fmt::format("{}: {}; give a .pfs file, a picture, an IDX or .npy file or "
                    "a folder of patches",
                    path.string(), file_kind(path)));
}

} // namespace patchforge
