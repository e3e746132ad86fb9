#include "data/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

namespace patchforge {

namespace {

using Paths = std::vector<std::string_view>;

constexpr std::array<const char*, 5> layout_names = {"IDC (patient/class)", "patient/class",
                                                     "class folders", "flat folder",
                                                     "arrays of pictures"}; // in the enum's order

bool is_idc_class(std::string_view folder) {
    return folder == "0" || folder == "1";
}

/// Takes `tag` and the number after it off the end of `text`.
std::optional<std::int32_t> number_at_end(std::string_view& text, std::string_view tag) {
    const std::size_t at = text.rfind(tag);
    if (at == std::string_view::npos) {
        return std::nullopt;
    }
    const char* first = text.data() + at + tag.size();
    const char* last = text.data() + text.size();
    std::int32_t value = 0;
    const auto [end, error] = std::from_chars(first, last, value);
    if (error != std::errc{} || end != last || value < 0) {
        return std::nullopt;
    }
    text = text.substr(0, at);
    return value;
}

/// "a, b, c, …": at most four.
std::string listed(const std::set<std::string>& names) {
    std::string text;
    int shown = 0;
    for (const std::string& name : names) {
        if (shown++ == 4) {
            return text + ", …";
        }
        text += (text.empty() ? "" : ", ") + name;
    }
    return text;
}

/// The folders around everything, with a slash after each: while all pictures in folders share the
/// first folder and at least `deepest` components stay below it. A part's name is no wrapper, but inside of parts.
std::string wrapper_of(const Paths& paths, std::size_t deepest, bool in_part) {
    std::string wrapper;
    for (;;) {
        std::string_view top;
        for (const std::string_view path : paths) {
            if (!path.starts_with(wrapper)) {
                continue;
            }
            const std::vector<std::string_view> rest = components(path.substr(wrapper.size()));
            if (rest.size() == 1) {
                if (wrapper.empty()) { // a stray beside the folders
                    continue;
                }
                return wrapper;
            }
            if (rest.size() <= deepest || (!top.empty() && rest[0] != top)) {
                return wrapper;
            }
            top = rest[0];
        }
        if (top.empty() || (!in_part && part_word(top).part != Part::all)) {
            return wrapper;
        }
        wrapper.append(top).append("/");
    }
}

/// What lies in each folder at the top.
struct Tops {
    std::int64_t direct = 0;                                           ///< pictures in no folder
    std::int64_t in_folders = 0;                                       ///< pictures in folders
    std::map<std::string, std::set<std::string>, std::less<>> folders; ///< and the folders in them
    std::int64_t directly_inside = 0; ///< of in_folders, those in no deeper folder

    void add(const std::vector<std::string_view>& path) {
        if (path.size() < 2) {
            ++direct;
            return;
        }
        ++in_folders;
        std::set<std::string>& inside = folders[std::string(path[0])];
        if (path.size() == 2) {
            ++directly_inside;
        } else {
            inside.emplace(path[1]);
        }
    }
    void add(const Tops& other) {
        direct += other.direct;
        in_folders += other.in_folders;
        directly_inside += other.directly_inside;
        for (const auto& [name, inside] : other.folders) {
            folders[name].insert(inside.begin(), inside.end());
        }
    }
    std::set<std::string> names() const {
        std::set<std::string> all;
        for (const auto& [name, inside] : folders) {
            all.insert(name);
        }
        return all;
    }
    /// Folders inside by name, with the number of top folders that hold one.
    std::map<std::string, std::int64_t> inside() const {
        std::map<std::string, std::int64_t> counts;
        for (const auto& [name, inside] : folders) {
            for (const std::string& folder : inside) {
                ++counts[folder];
            }
        }
        return counts;
    }
};

/// "8863", "p07", "Patient 12", "TCGA-A2-A0CM": digits, alone or behind a word for a patient.
bool looks_like_patient(const std::string& folder) {
    static constexpr std::array<std::string_view, 17> words = {
        "p",    "pt", "pat", "patient", "pid",   "case", "subject",  "subj",  "sub",
        "tcga", "id", "idc", "slide",   "donor", "wsi",  "specimen", "person"};
    const std::vector<std::string> parts = words_of(folder);
    if (parts.empty() || folder.find_first_of("0123456789") == std::string::npos) {
        return false;
    }
    const std::string letters = parts[0].substr(0, parts[0].find_first_of("0123456789"));
    return letters.empty() || std::find(words.begin(), words.end(), letters) != words.end();
}

bool look_like_patients(const Tops& tops) {
    const auto count = static_cast<std::int64_t>(tops.folders.size());
    const auto alike = std::count_if(tops.folders.begin(), tops.folders.end(),
                                     [](const auto& top) { return looks_like_patient(top.first); });
    return count >= 2 && 10 * alike >= 9 * count;
}

/// Folders "0", "1", … "9", as classes are numbered.
bool are_consecutive(const Tops& tops) {
    const std::size_t count = tops.folders.size();
    return (tops.folders.contains("0") || tops.folders.contains("1")) &&
           std::all_of(tops.folders.begin(), tops.folders.end(), [&](const auto& top) {
               return top.first.size() <= std::to_string(count).size() &&
                      top.first.find_first_not_of("0123456789") == std::string::npos;
           });
}

/// IDC: pictures in <patient>/<0|1>/, at least half of them named with that patient.
bool is_idc_by_names(const std::vector<std::string>& pictures) {
    std::int64_t lying = 0;
    std::int64_t named = 0;
    for (const std::string& path : pictures) {
        const std::vector<std::string_view> parts = components(path);
        if (parts.size() >= 3 && is_idc_class(parts[parts.size() - 2])) {
            ++lying;
            const auto name = idc_name(parts.back());
            named += name && name->patient == parts[parts.size() - 3];
        }
    }
    return 2 * lying > std::ssize(pictures) && 2 * named >= lying;
}

/// Of the folders of pictures below `wrapper`, those that are parts; empty where none are.
std::map<std::string, Part, std::less<>> find_parts(const Paths& paths, const std::string& wrapper,
                                                    const std::set<std::string>& folders) {
    Tops tops;
    std::map<std::string, std::int64_t, std::less<>> pictures;
    for (const std::string_view path : paths) {
        const auto parts = components(path.substr(wrapper.size()));
        tops.add(parts);
        if (parts.size() >= 2) {
            ++pictures[std::string(parts[0])];
        }
    }
    std::set<std::string> side_by_side = tops.names();
    for (const std::string& folder : folders) {
        if (folder.starts_with(wrapper) && folder.find('/', wrapper.size()) == std::string::npos) {
            side_by_side.insert(folder.substr(wrapper.size()));
        }
    }
    auto parts = parts_among(side_by_side);
    std::int64_t inside = 0;
    bool structured = true;
    std::set<Part> kinds;
    for (const auto& [folder, part] : parts) {
        inside += pictures[folder];
        structured = structured && (pictures[folder] == 0 || !tops.folders[folder].empty());
        kinds.insert(part);
    }
    // Class folders may be called "train", too: a part holds class folders, or stands beside other
    // parts alone.
    const bool alone = inside == tops.in_folders;
    const bool accepted =
        inside > 0 && ((structured && (kinds.size() > 1 || 10 * inside >= 9 * tops.in_folders)) ||
                       (alone && kinds.size() > 1));
    if (!accepted) {
        parts.clear();
    }
    return parts;
}

[[noreturn]] void ask_for_layout(const std::string& root, const Tops& tops) {
    std::set<std::string> inside;
    for (const auto& [folder, count] : tops.inside()) {
        inside.insert(folder);
    }
    throw std::runtime_error(fmt::format(
        "{}: its folders {} all hold the same folders ({}), so it cannot be told which are the "
        "classes; say --layout classes where {} are classes, --layout patients where they are "
        "patients "
        "and {} classes, or name parts train, test and validation",
        root, listed(tops.names()), listed(inside), listed(tops.names()), listed(inside)));
}

/// Steps 3 to 5 of arrange.
void decide(Arrangement& arrangement, const std::string& root, const Tops& tops) {
    const std::string within = arrangement.parts.empty()
                                   ? ""
                                   : "parts " + listed([&] {
                                         std::set<std::string> names;
                                         for (const auto& [folder, part] : arrangement.parts) {
                                             names.insert(folder);
                                         }
                                         return names;
                                     }()) +
                                         "; ";
    const auto choose = [&](Layout layout, const std::string& reason) {
        arrangement.layout = layout;
        arrangement.reason = within + reason;
    };
    if (tops.direct > tops.in_folders) {
        choose(Layout::flat,
               tops.in_folders == 0 ? "no folders of pictures" : "most pictures lie in no folder");
        return;
    }
    const auto inside = tops.inside();
    const bool deep = 2 * tops.directly_inside < tops.in_folders;
    const bool only_0_and_1 = std::all_of(inside.begin(), inside.end(), [](const auto& folder) {
        return is_idc_class(folder.first);
    });
    const bool patients = deep && look_like_patients(tops);
    if (patients && only_0_and_1) {
        choose(Layout::idc, "folders named as patients hold the folders 0 and 1");
        return;
    }
    const bool repeated = std::all_of(inside.begin(), inside.end(),
                                      [](const auto& folder) { return folder.second > 1; });
    std::int64_t pairs = 0;
    for (const auto& [folder, count] : inside) {
        pairs += count;
    }
    const bool same_inside = deep && tops.folders.size() > 1 && inside.size() > 1 && repeated &&
                             2 * pairs > std::ssize(tops.folders) * std::ssize(inside);
    if (same_inside && patients && !are_consecutive(tops)) {
        choose(Layout::patients, "folders named as patients hold the same class folders");
        return;
    }
    if (same_inside) {
        ask_for_layout(root, tops);
    }
    choose(Layout::class_folders, "the folders are the classes");
}

/// Whether all folders inside the top folders are parts: <class>/<part>/.
std::map<std::string, Part, std::less<>> parts_below(const Tops& tops) {
    std::set<std::string> inside;
    for (const auto& [folder, count] : tops.inside()) {
        inside.insert(folder);
    }
    auto parts = parts_among(inside);
    std::set<Part> kinds;
    for (const auto& [folder, part] : parts) {
        kinds.insert(part);
    }
    if (parts.size() != inside.size() || kinds.size() < 2 || tops.directly_inside > 0) {
        parts.clear();
    }
    return parts;
}

} // namespace

std::string layout_name(Layout layout) {
    return layout_names[static_cast<std::size_t>(layout)];
}

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

std::optional<IdcName> idc_name(std::string_view file) {
    std::string_view rest = file.substr(0, file.rfind('.'));
    const auto label = number_at_end(rest, "_class");
    const auto y = label ? number_at_end(rest, "_y") : std::nullopt;
    const auto x = y ? number_at_end(rest, "_x") : std::nullopt;
    const auto index = x ? number_at_end(rest, "_idx") : std::nullopt;
    if (!index || *label > 1 || rest.empty()) {
        return std::nullopt;
    }
    return IdcName{rest, *x, *y, *label};
}

Arrangement::Place Arrangement::place(std::string_view path) const {
    if (!path.starts_with(wrapper)) {
        return {};
    }
    Place place{Part::all, patchforge::components(path.substr(wrapper.size()))};
    if (parts.empty()) {
        return place;
    }
    const std::size_t level = part_below_class ? 1 : 0;
    if (place.components.size() < level + 2) {
        return {};
    }
    const auto part = parts.find(place.components[level]);
    if (part == parts.end()) {
        return {};
    }
    place.part = part->second;
    place.components.erase(place.components.begin() + static_cast<std::ptrdiff_t>(level));
    if (!part_below_class) {
        const std::string& inner = wrappers_in_part.find(part->first)->second;
        const auto folders = std::count(inner.begin(), inner.end(), '/');
        const std::string_view rest = path.substr(wrapper.size() + part->first.size() + 1);
        if (!rest.starts_with(inner)) {
            return {};
        }
        place.components.erase(place.components.begin(), place.components.begin() + folders);
    }
    return place;
}

Arrangement arrange(const std::string& root, const std::vector<std::string>& pictures,
                    const std::set<std::string>& folders, std::optional<Layout> forced) {
    Arrangement arrangement;
    const bool idc = is_idc_by_names(pictures);
    // <patient>/<class>/<file> must stay.
    const bool keep_patients =
        forced == Layout::patients || forced == Layout::idc || (!forced && idc);
    const std::size_t deepest = keep_patients ? 3 : 2;

    Paths paths(pictures.begin(), pictures.end());
    const auto strays = std::count_if(paths.begin(), paths.end(), [](std::string_view path) {
        return path.find('/') == std::string_view::npos;
    });
    if (2 * strays < std::ssize(paths)) {
        arrangement.wrapper = wrapper_of(paths, deepest, false);
    }
    std::erase_if(paths,
                  [&](std::string_view path) { return !path.starts_with(arrangement.wrapper); });
    arrangement.parts = find_parts(paths, arrangement.wrapper, folders);
    for (const auto& [folder, part] : arrangement.parts) {
        const std::string prefix = arrangement.wrapper + folder + "/";
        Paths inside;
        for (const std::string_view path : paths) {
            if (path.starts_with(prefix)) {
                inside.push_back(path.substr(prefix.size()));
            }
        }
        arrangement.wrappers_in_part[folder] = wrapper_of(inside, deepest, true);
    }
    // A part without folders ("test", when its answers are kept back) says nothing of the others.
    const auto count_tops = [&] {
        std::map<Part, Tops> of_part;
        for (const std::string_view path : paths) {
            const auto place = arrangement.place(path);
            if (!place.components.empty()) {
                of_part[place.part].add(place.components);
            }
        }
        const bool some_have_folders =
            std::any_of(of_part.begin(), of_part.end(),
                        [](const auto& one) { return one.second.in_folders > 0; });
        Tops all;
        arrangement.parts_without_folders.clear();
        for (const auto& [part, tops] : of_part) {
            if (some_have_folders && tops.in_folders == 0 && part != Part::all) {
                arrangement.parts_without_folders.insert(part);
            } else {
                all.add(tops);
            }
        }
        return all;
    };
    Tops tops = count_tops();
    if (arrangement.parts.empty() && !keep_patients) {
        arrangement.parts = parts_below(tops);
        arrangement.part_below_class = !arrangement.parts.empty();
        tops = count_tops();
    }
    if (forced) {
        arrangement.layout = *forced;
        arrangement.reason = "as --layout says";
    } else if (idc) {
        arrangement.layout = Layout::idc;
        arrangement.reason = "files are named as the IDC set names them";
    } else {
        decide(arrangement, root, tops);
    }
    return arrangement;
}

} // namespace patchforge
