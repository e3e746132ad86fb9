#include "data/patch_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <dirent.h>
#include <optional>
#include <set>
#include <stdexcept>
#include <string_view>
#include <sys/stat.h>
#include <unordered_set>

namespace patchforge {

namespace {

namespace fs = std::filesystem;

bool ends_with_png(std::string_view name) {
    return name.size() > 4 && name[name.size() - 4] == '.' &&
           (name[name.size() - 3] | 0x20) == 'p' && (name[name.size() - 2] | 0x20) == 'n' &&
           (name[name.size() - 1] | 0x20) == 'g';
}

struct Tree {
    std::vector<std::string> pictures; // relative paths of *.png
    std::vector<IgnoredFile> others;
};

/// Depth-first walk. `above` holds (device, inode) of the folders from the root down to this one: a
/// link to one of them would be a cycle.
class Walk {
  public:
    Walk(const fs::path& root, Tree& tree) : root_(root.string()), tree_(tree) {}

    /// `relative` to the root, "" for the root itself.
    void folder(const std::string& relative) {
        const std::string path = relative.empty() ? root_ : root_ + "/" + relative;
        struct stat facts {};
        DIR* handle = ::stat(path.c_str(), &facts) == 0 ? ::opendir(path.c_str()) : nullptr;
        if (!handle) {
            ignore(relative, "folder cannot be opened");
            return;
        }
        const std::pair identity{facts.st_dev, facts.st_ino};
        if (std::find(above_.begin(), above_.end(), identity) != above_.end()) {
            ::closedir(handle);
            ignore(relative, "symbolic link to a folder above it");
            return;
        }
        std::vector<std::string> folders;
        while (const dirent* item = ::readdir(handle)) {
            const std::string name = item->d_name;
            if (name == "." || name == "..") {
                continue;
            }
            std::string child = relative;
            child.append(relative.empty() ? "" : "/").append(name);
            const unsigned char kind = resolve(item->d_type, child);
            if (kind == DT_DIR) {
                folders.push_back(std::move(child));
            } else if (kind == DT_UNKNOWN) {
                ignore(child, "broken symbolic link");
            } else if (kind != DT_REG) {
                ignore(child, "not a regular file");
            } else if (name[0] == '.') { // such as the "._x.png" that archives from macOS hold
                ignore(child, "hidden file");
            } else if (!ends_with_png(name)) {
                ignore(child, "not named *.png");
            } else {
                tree_.pictures.push_back(std::move(child));
            }
        }
        ::closedir(handle); // before going down: depth must not cost open files
        above_.push_back(identity);
        for (const std::string& child : folders) {
            const auto slash = child.rfind('/');
            if (child[slash == std::string::npos ? 0 : slash + 1] == '.') {
                ignore(child, "hidden folder");
            } else {
                folder(child);
            }
        }
        above_.pop_back();
    }

  private:
    /// DT_REG, DT_DIR, another type, or DT_UNKNOWN for a link that leads nowhere.
    unsigned char resolve(unsigned char kind, const std::string& child) const {
        if (kind == DT_REG || kind == DT_DIR) {
            return kind;
        }
        struct stat facts {};
        if (::stat((root_ + "/" + child).c_str(), &facts) != 0) {
            return DT_UNKNOWN;
        }
        return S_ISDIR(facts.st_mode) ? DT_DIR : S_ISREG(facts.st_mode) ? DT_REG : DT_CHR;
    }

    void ignore(std::string path, std::string reason) {
        tree_.others.push_back({std::move(path), std::move(reason)});
    }

    std::string root_;
    Tree& tree_;
    std::vector<std::pair<dev_t, ino_t>> above_;
};

std::vector<std::string_view> components(std::string_view path) {
    std::vector<std::string_view> parts;
    for (std::size_t start = 0;;) {
        const std::size_t slash = path.find('/', start);
        parts.push_back(path.substr(start, slash - start));
        if (slash == std::string_view::npos) {
            return parts;
        }
        start = slash + 1;
    }
}

std::optional<Part> part_of(std::string_view folder) {
    if (folder == "train") {
        return Part::train;
    }
    if (folder == "test") {
        return Part::test;
    }
    if (folder == "val" || folder == "valid" || folder == "validation") {
        return Part::validation;
    }
    return std::nullopt;
}

/// A relative path with its part, when it has one, taken off the front.
struct Located {
    Part part;
    std::vector<std::string_view> parts;
};

Located locate(std::string_view path) {
    Located located{Part::all, components(path)};
    if (located.parts.size() >= 3) { // <part>/<class>/<file>, never <part>/<file>
        if (const auto part = part_of(located.parts[0])) {
            located.part = *part;
            located.parts.erase(located.parts.begin());
        }
    }
    return located;
}

bool is_idc_class(std::string_view folder) {
    return folder == "0" || folder == "1";
}

/// <patient>/<0|1>/<file>
bool lies_as_idc(const Located& located) {
    const auto& parts = located.parts;
    return parts.size() >= 3 && is_idc_class(parts[parts.size() - 2]);
}

std::optional<std::int32_t> number_after(std::string_view name, std::string_view tag) {
    const std::size_t at = name.rfind(tag);
    if (at == std::string_view::npos) {
        return std::nullopt;
    }
    const char* first = name.data() + at + tag.size();
    std::int32_t value = 0;
    const auto [end, error] = std::from_chars(first, name.data() + name.size(), value);
    if (error != std::errc{} || end == first || value < 0) {
        return std::nullopt;
    }
    return value;
}

/// Numbers names in bytewise order.
std::map<std::string, std::int32_t, std::less<>> numbered(const std::set<std::string>& names) {
    std::map<std::string, std::int32_t, std::less<>> numbers;
    for (const std::string& name : names) {
        numbers.emplace(name, static_cast<std::int32_t>(numbers.size()));
    }
    return numbers;
}

void read_idc(PatchFolder& folder, std::vector<std::string>& paths) {
    folder.class_names = {"no cancer", "cancer"};
    std::set<std::string> patients;
    std::vector<std::string> patient_of_entry;
    std::unordered_set<std::string> seen;
    for (std::string& path : paths) {
        const Located located = locate(path);
        if (!lies_as_idc(located)) {
            folder.ignored.push_back({std::move(path), "outside <patient>/<0|1>/"});
            continue;
        }
        const auto& parts = located.parts;
        const std::string_view file = parts.back();
        PatchEntry entry;
        entry.label = parts[parts.size() - 2] == "1" ? 1 : 0;
        const auto named_class = number_after(file, "_class");
        if (named_class && *named_class != entry.label) {
            folder.ignored.push_back({std::move(path), "class in the name is not the folder's"});
            continue;
        }
        std::string patient(parts[parts.size() - 3]);
        if (!seen.insert(patient + "/" + std::string(file)).second) {
            folder.ignored.push_back({std::move(path), "second copy of the same patch"});
            continue;
        }
        entry.x = number_after(file, "_x").value_or(-1);
        entry.y = number_after(file, "_y").value_or(-1);
        patients.insert(patient);
        patient_of_entry.push_back(std::move(patient));
        entry.path = std::move(path);
        folder.entries.push_back(std::move(entry));
    }
    const auto numbers = numbered(patients);
    for (std::size_t i = 0; i < folder.entries.size(); ++i) {
        folder.entries[i].patient = numbers.find(patient_of_entry[i])->second;
    }
    folder.patient_names.assign(patients.begin(), patients.end());
}

void read_class_folders(PatchFolder& folder, std::vector<std::string>& paths) {
    std::set<std::string> classes;
    for (const std::string& path : paths) {
        const Located located = locate(path);
        if (located.parts.size() >= 2) {
            classes.emplace(located.parts[0]);
        }
    }
    const auto numbers = numbered(classes);
    for (std::string& path : paths) {
        const Located located = locate(path);
        if (located.parts.size() < 2) {
            folder.ignored.push_back({std::move(path), "outside the class folders"});
            continue;
        }
        PatchEntry entry;
        entry.label = numbers.find(located.parts[0])->second;
        entry.path = std::move(path);
        folder.entries.push_back(std::move(entry));
    }
    folder.class_names.assign(classes.begin(), classes.end());
}

fs::path plain_or_gz(const fs::path& path) {
    for (const fs::path& candidate : {path, fs::path(path.string() + ".gz")}) {
        if (fs::is_regular_file(candidate)) {
            return candidate;
        }
    }
    return {};
}

std::vector<IdxPair> find_idx_pairs(const fs::path& root) {
    std::vector<IdxPair> pairs;
    for (const char* part : {"train", "t10k"}) {
        IdxPair pair{part, plain_or_gz(root / fmt::format("{}-images-idx3-ubyte", part)),
                     plain_or_gz(root / fmt::format("{}-labels-idx1-ubyte", part))};
        if (!pair.images.empty()) {
            pairs.push_back(std::move(pair));
        }
    }
    return pairs;
}

[[noreturn]] void no_such_part(const fs::path& root, Part part) {
    throw std::invalid_argument(fmt::format("{}: has no part '{}'; choose a part it has, or all",
                                            root.string(), part_name(part)));
}

void keep_part(const fs::path& root, Part part, std::vector<std::string>& paths) {
    if (part == Part::all) {
        return;
    }
    std::erase_if(paths, [&](const std::string& path) { return locate(path).part != part; });
    if (paths.empty()) {
        no_such_part(root, part);
    }
}

void keep_part(const fs::path& root, Part part, std::vector<IdxPair>& pairs) {
    if (part == Part::all) {
        return;
    }
    const std::string_view wanted = part == Part::train  ? "train"
                                    : part == Part::test ? "t10k"
                                                         : "none";
    std::erase_if(pairs, [&](const IdxPair& pair) { return pair.part != wanted; });
    if (pairs.empty()) {
        no_such_part(root, part);
    }
}

} // namespace

std::string layout_name(Layout layout) {
    switch (layout) {
    case Layout::idc:
        return "IDC (patient/class)";
    case Layout::class_folders:
        return "class folders";
    case Layout::flat:
        return "flat folder";
    case Layout::idx:
        return "MNIST IDX";
    }
    return "unknown";
}

std::string part_name(Part part) {
    switch (part) {
    case Part::all:
        return "all";
    case Part::train:
        return "train";
    case Part::test:
        return "test";
    case Part::validation:
        return "validation";
    }
    return "unknown";
}

PatchFolder scan_patch_folder(const fs::path& root, Part part) {
    if (!fs::is_directory(root)) {
        throw std::runtime_error(fmt::format("{}: {}; give a folder of PNG patches", root.string(),
                                             fs::exists(root) ? "not a folder" : "does not exist"));
    }
    PatchFolder folder;
    folder.root = root;
    folder.idx_pairs = find_idx_pairs(root);
    if (!folder.idx_pairs.empty()) {
        folder.layout = Layout::idx;
        keep_part(root, part, folder.idx_pairs);
        return folder;
    }

    Tree tree;
    Walk walk(root, tree);
    walk.folder("");
    folder.ignored = std::move(tree.others);
    std::vector<std::string>& paths = tree.pictures;
    if (paths.empty()) {
        throw std::runtime_error(fmt::format(
            "{}: holds no PNG files{}; give a folder of patches as IDC, class folders, a flat "
            "folder or MNIST IDX files",
            root.string(),
            folder.ignored.empty() ? "" : fmt::format(" ({} other files)", folder.ignored.size())));
    }
    std::sort(paths.begin(), paths.end());
    keep_part(root, part, paths);

    std::int64_t as_idc = 0;
    std::int64_t in_folders = 0;
    for (const std::string& path : paths) {
        const Located located = locate(path);
        as_idc += lies_as_idc(located);
        in_folders += located.parts.size() >= 2;
    }
    if (2 * as_idc > static_cast<std::int64_t>(paths.size())) {
        folder.layout = Layout::idc;
        read_idc(folder, paths);
    } else if (in_folders > 0) {
        folder.layout = Layout::class_folders;
        read_class_folders(folder, paths);
    } else {
        folder.layout = Layout::flat;
        for (std::string& path : paths) {
            folder.entries.push_back({.path = std::move(path)});
        }
    }
    std::sort(folder.ignored.begin(), folder.ignored.end(),
              [](const IgnoredFile& a, const IgnoredFile& b) { return a.path < b.path; });
    return folder;
}

} // namespace patchforge
