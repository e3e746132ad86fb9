#include "data/patch_folder.h"

#include "data/escape.h"
#include "data/labels_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>
#include <regex>
#include <set>
#include <stdexcept>
#include <string_view>
#include <unordered_map>

namespace patchforge {

namespace {

namespace fs = std::filesystem;

/// What is known of one picture before classes and patients have numbers.
struct Found {
    std::string path;
    std::optional<std::string> label;
    std::optional<std::string> patient;
    std::int32_t x = -1;
    std::int32_t y = -1;
};

std::string part_list(const std::map<Part, std::int64_t>& parts) {
    std::vector<std::string> names;
    for (const auto& [part, count] : parts) {
        names.push_back(fmt::format("{} ({})", part_name(part), count));
    }
    return fmt::format("{}", fmt::join(names, ", "));
}

std::string_view file_name(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
}

/// Turns the pictures of a tree into entries.
class Reading {
  public:
    Reading(const fs::path& root, const FolderOptions& options, FolderTree& tree,
            PatchFolder& folder)
        : options_(options), tree_(tree), folder_(folder), root_(root), forced_(options.layout) {
        if (!forced_ && !options.labels.empty()) {
            forced_ = Layout::flat; // folders mean nothing when a table tells the classes
        }
    }

    void read() {
        arrangement_ = arrange(root_.string(), tree_.pictures, tree_.folders, forced_);
        folder_.layout = arrangement_.layout;
        folder_.reason = arrangement_.reason;
        count_parts();
        folder_.part = choose_part(root_, options_, folder_.parts);
        idc_names_ = named_as_idc();
        // As IDC, a folder without folders tells everything by its files' names.
        if (folder_.layout == Layout::flat && !forced_ && idc_names_) {
            folder_.layout = Layout::idc;
            folder_.reason = "no folders, files named as the IDC set names them";
        }
        for (std::string& path : tree_.pictures) {
            read(std::move(path));
        }
        add_empty_classes();
        if (found_.empty()) { // the layout fits none, which the caller says
            return;
        }
        if (!options_.labels.empty()) {
            apply_labels();
        }
        if (!options_.patient_pattern.empty()) {
            apply_pattern();
        }
        number();
    }

  private:
    void count_parts() {
        if (arrangement_.parts.empty()) {
            return;
        }
        for (const std::string& path : tree_.pictures) {
            const Arrangement::Place place = arrangement_.place(path);
            if (!place.components.empty()) {
                ++folder_.parts[place.part];
            }
        }
    }

    /// Whether most files that are read carry the IDC set's names.
    bool named_as_idc() const {
        std::int64_t named = 0;
        for (const std::string& path : tree_.pictures) {
            named += idc_name(file_name(path)).has_value();
        }
        return 2 * named > std::ssize(tree_.pictures);
    }

    void ignore(std::string path, const std::string& reason) {
        folder_.ignored.push_back({std::move(path), reason});
    }

    void read(std::string path) {
        const Arrangement::Place place = arrangement_.place(path);
        if (place.components.empty()) {
            ignore(std::move(path), arrangement_.parts.empty() ? "beside the folder of the patches"
                                                               : "outside the parts");
            return;
        }
        Found found;
        found.path = path;
        if (const std::string reason = tell(place.components, found); !reason.empty()) {
            ignore(std::move(path), reason);
            return;
        }
        if (found.label) { // also of parts that are not read: all number the classes alike
            classes_.insert(*found.label);
        }
        if (folder_.part == Part::all || place.part == folder_.part) {
            found_.push_back(std::move(found));
        }
    }

    /// Fills what the layout tells of a picture. The reason why it is left out; empty: it is not.
    std::string tell(const std::vector<std::string_view>& place, Found& found) const {
        const auto named = idc_name(place.back());
        if (named) {
            found.x = named->x;
            found.y = named->y;
        }
        switch (folder_.layout) {
        case Layout::idc:
            return tell_idc(place, named, found);
        case Layout::patients:
            if (place.size() < 3) {
                return "outside <patient>/<class>/";
            }
            found.patient = place[0];
            found.label = place[1];
            return "";
        case Layout::class_folders:
            if (place.size() < 2) {
                return unlabelled(found.path) ? "" : "outside the class folders";
            }
            found.label = place[0];
            break;
        default:
            if (place.size() > 1 && !forced_) {
                return "in a folder, while most lie in none";
            }
        }
        if (idc_names_ && options_.patient_pattern.empty()) {
            if (!named) {
                return "no patient in the name, while most have one";
            }
            if ((found.label == "0" && named->label == 1) ||
                (found.label == "1" && named->label == 0)) {
                return "class in the name is not the folder's";
            }
            found.patient = named->patient;
        }
        return "";
    }

    static std::string tell_idc(const std::vector<std::string_view>& place,
                                const std::optional<IdcName>& named, Found& found) {
        const std::size_t depth = place.size();
        std::int32_t label = -1;
        if (depth >= 3 && (place[depth - 2] == "0" || place[depth - 2] == "1")) {
            label = place[depth - 2] == "1" ? 1 : 0;
            found.patient = place[depth - 3];
            if (named && named->label != label) {
                return "class in the name is not the folder's";
            }
        } else if (depth == 1 && named) {
            label = named->label;
            found.patient = named->patient;
        } else {
            return "outside <patient>/<0|1>/";
        }
        found.label = label == 1 ? "cancer" : "no cancer";
        return "";
    }

    /// In a part that has no class folders while others do.
    bool unlabelled(const std::string& path) const {
        return arrangement_.parts_without_folders.contains(arrangement_.place(path).part);
    }

    /// A class folder is a class, whatever is in it.
    void add_empty_classes() {
        if (folder_.layout != Layout::class_folders) {
            return;
        }
        for (const std::string& path : tree_.folders) {
            const std::string inside = path + "/.";
            const Arrangement::Place place = arrangement_.place(inside);
            if (place.components.size() == 2) {
                classes_.emplace(place.components[0]);
            }
        }
    }

    void apply_labels() {
        LabelsFile table(options_.labels);
        std::vector<Found> labelled;
        std::vector<std::string> names;
        for (Found& found : found_) {
            const LabelsFile::Row* row = table.find(found.path);
            if (!row) {
                ignore(found.path, "not in the table of --labels");
                continue;
            }
            found.label = row->label;
            names.push_back(row->label);
            if (table.knows_patients()) {
                found.patient = row->patient.empty() ? std::nullopt : std::optional(row->patient);
            }
            labelled.push_back(std::move(found));
        }
        if (labelled.empty()) {
            throw std::invalid_argument(fmt::format(
                "--labels {}: names none of the {} pictures of {}, such as {}; name them by their "
                "paths in that folder",
                options_.labels.string(), found_.size(), root_.string(), found_.front().path));
        }
        for (std::string& picture : table.unused()) {
            if (folder_.part == Part::all) {
                ignore(std::move(picture), "in the table of --labels, but no such picture");
            }
        }
        found_ = std::move(labelled);
        class_order_ = in_class_order(names);
        folder_.reason = "classes by --labels";
    }

    void apply_pattern() {
        std::regex pattern;
        try {
            pattern.assign(options_.patient_pattern, std::regex::ECMAScript);
        } catch (const std::regex_error& error) {
            throw std::invalid_argument(
                fmt::format("--patient-pattern '{}': not a regular expression ({}); write one like "
                            "'^([^_/]+)_'",
                            options_.patient_pattern, error.what()));
        }
        std::vector<Found> known;
        for (Found& found : found_) {
            std::smatch match;
            if (!std::regex_search(found.path, match, pattern)) {
                ignore(found.path, "no patient by --patient-pattern");
                continue;
            }
            found.patient = match.size() > 1 && match[1].matched ? match[1].str() : match[0].str();
            known.push_back(std::move(found));
        }
        if (known.empty()) {
            throw std::invalid_argument(fmt::format("--patient-pattern '{}': found in none of the "
                                                    "{} paths of {}, such as {}; correct it",
                                                    options_.patient_pattern, found_.size(),
                                                    root_.string(), found_.front().path));
        }
        found_ = std::move(known);
        folder_.reason += "; patients by --patient-pattern";
    }

    void number() {
        if (class_order_.empty()) {
            class_order_.assign(classes_.begin(), classes_.end());
            if (folder_.layout == Layout::idc) {
                class_order_ = {"no cancer", "cancer"};
            }
        }
        std::set<std::string> patients;
        for (const Found& found : found_) {
            if (found.patient) {
                patients.insert(*found.patient);
            }
        }
        const std::vector<std::string> patient_order(patients.begin(), patients.end());
        const auto numbers = [](const std::vector<std::string>& names) {
            std::unordered_map<std::string, std::int32_t> result;
            for (const std::string& name : names) {
                result.emplace(name, static_cast<std::int32_t>(result.size()));
            }
            return result;
        };
        const auto class_numbers = numbers(class_order_);
        const auto patient_numbers = numbers(patient_order);
        std::unordered_map<std::string, std::int32_t> first_of_name;
        for (Found& found : found_) {
            PatchEntry entry;
            entry.label = found.label ? class_numbers.at(*found.label) : -1;
            entry.patient = found.patient ? patient_numbers.at(*found.patient) : -1;
            entry.x = found.x;
            entry.y = found.y;
            if (folder_.layout == Layout::idc) {
                const auto [first, added] = first_of_name.emplace(
                    fmt::format("{} {} {}", entry.patient, entry.label, file_name(found.path)),
                    static_cast<std::int32_t>(folder_.entries.size()));
                entry.twin = added ? -1 : first->second;
            }
            entry.path = std::move(found.path);
            folder_.entries.push_back(std::move(entry));
        }
        for (const std::string& name : class_order_) {
            folder_.class_names.push_back(utf8_text(name));
        }
        for (const std::string& name : patient_order) {
            folder_.patient_names.push_back(utf8_text(name));
        }
    }

    const FolderOptions& options_;
    FolderTree& tree_;
    PatchFolder& folder_;
    const fs::path& root_;
    std::optional<Layout> forced_;
    Arrangement arrangement_;
    bool idc_names_ = false;
    std::vector<Found> found_;
    std::set<std::string> classes_;
    std::vector<std::string> class_order_; // empty: classes_
};

void sort_ignored(PatchFolder& folder) {
    std::sort(folder.ignored.begin(), folder.ignored.end(),
              [](const IgnoredFile& a, const IgnoredFile& b) { return a.path < b.path; });
}

void read_arrays(PatchFolder& folder, const FolderTree& tree, const FolderOptions& options,
                 const std::string& only) {
    if (!options.labels.empty() || !options.patient_pattern.empty()) {
        throw std::invalid_argument(fmt::format(
            "{}: {} is for pictures in files of their own; arrays have their labels in "
            "an array",
            folder.root.string(), options.labels.empty() ? "--patient-pattern" : "--labels"));
    }
    folder.layout = Layout::arrays;
    folder.reason = only.empty() ? "files of many pictures" : "a file of many pictures";
    std::vector<StackPair> stacks = find_stacks(folder.root, tree, only);
    std::vector<std::string> names;
    for (const StackPair& stack : stacks) {
        if (stack.part != Part::all) {
            ++folder.parts[stack.part];
        }
        if (!stack.labels.empty()) {
            for (const std::int64_t label : read_stack_labels(stack.labels)) {
                if (names.empty() || names.back() != std::to_string(label)) {
                    names.push_back(std::to_string(label));
                }
            }
        }
    }
    if (stacks.empty()) {
        throw std::runtime_error(fmt::format(
            "{}: its arrays hold no pictures; give an array of (count, height, width) or (count, "
            "height, width, 3)",
            folder.root.string()));
    }
    folder.class_names = in_class_order(names);
    folder.part = only.empty() ? choose_part(folder.root, options, folder.parts) : Part::all;
    std::erase_if(stacks, [&](const StackPair& stack) {
        return folder.part != Part::all && stack.part != folder.part;
    });
    folder.stacks = std::move(stacks);
    for (const std::string& picture : tree.pictures) {
        if (only.empty()) {
            folder.ignored.push_back({picture, "beside arrays of pictures"});
        }
    }
}

/// Whether the arrays count instead of the pictures in files of their own. Arrays of one picture
/// each join the pictures.
bool arrays_decide(const fs::path& root, FolderTree& tree, std::optional<Layout> forced) {
    std::vector<std::string> stacks;
    std::exception_ptr fault;
    std::size_t faulty = 0;
    for (std::string& path : tree.arrays) {
        bool stack = false;
        try {
            stack = is_stack(root / path);
        } catch (const std::runtime_error&) { // one of many is left out as any damaged picture is
            fault = fault ? fault : std::current_exception();
            ++faulty;
        }
        (stack ? stacks : tree.pictures).push_back(std::move(path));
    }
    if (fault && faulty == tree.pictures.size()) {
        std::rethrow_exception(fault);
    }
    tree.arrays = std::move(stacks);
    std::sort(tree.pictures.begin(), tree.pictures.end());
    const bool some = !tree.arrays.empty() || !tree.idx.empty();
    if (forced) {
        return *forced == Layout::arrays;
    }
    // A stack holds many pictures, so a few files beside it are strays.
    return some && tree.pictures.size() <= 2 * (tree.arrays.size() + tree.idx.size());
}

} // namespace

Part choose_part(const fs::path& root, const FolderOptions& options,
                 const std::map<Part, std::int64_t>& parts) {
    const auto has = [&](Part part) {
        const auto found = parts.find(part);
        return found != parts.end() && found->second > 0;
    };
    if (options.part != Part::usual) {
        if (options.part != Part::all && !has(options.part)) {
            throw std::invalid_argument(fmt::format(
                "--part {}: {} has {}; choose a part it has, or all", part_name(options.part),
                root.string(), parts.empty() ? "no parts" : part_list(parts)));
        }
        return options.part;
    }
    if (has(options.usual_part)) {
        return options.usual_part;
    }
    return options.usual_part == Part::test && has(Part::validation) ? Part::validation : Part::all;
}

PatchFolder scan_patch_folder(const fs::path& root, const FolderOptions& options) {
    PatchFolder folder;
    folder.root = root;
    std::error_code ignored_error;
    if (is_stack_name(root.filename().string()) && fs::is_regular_file(root, ignored_error)) {
        folder.root = root.has_parent_path() ? root.parent_path() : fs::path(".");
        read_arrays(folder, read_folder_tree(folder.root, options.follow_links), options,
                    root.filename().string());
        return folder;
    }
    FolderTree tree = read_folder_tree(root, options.follow_links);
    const bool arrays = arrays_decide(root, tree, options.layout);
    folder.ignored = std::move(tree.others);
    if (arrays) {
        read_arrays(folder, tree, options, "");
        sort_ignored(folder);
        return folder;
    }
    for (const auto* paths : {&tree.arrays, &tree.idx}) {
        for (const std::string& path : *paths) {
            folder.ignored.push_back(
                {path, "an array, while most pictures have files of their own"});
        }
    }
    if (tree.pictures.empty()) {
        std::map<std::string, std::int64_t> reasons;
        for (const IgnoredFile& file : folder.ignored) {
            ++reasons[file.reason];
        }
        std::string others;
        for (const auto& [reason, count] : reasons) {
            others += fmt::format("{}{} {}", others.empty() ? " but: " : ", ", count, reason);
        }
        throw std::runtime_error(
            fmt::format("{}: holds no pictures{}; give a folder of PNG or JPEG patches, in class "
                        "folders or as the IDC set lies, or of MNIST's files or NumPy arrays",
                        root.string(), others));
    }
    Reading(root, options, tree, folder).read();
    if (folder.entries.empty()) {
        sort_ignored(folder);
        throw std::runtime_error(fmt::format(
            "{}: none of its {} pictures fits the layout '{}' ({}: {}); try another --layout",
            root.string(), tree.pictures.size(), layout_name(folder.layout),
            folder.ignored.front().path, folder.ignored.front().reason));
    }
    sort_ignored(folder);
    return folder;
}

} // namespace patchforge
