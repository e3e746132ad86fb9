#pragma once

#include "data/folder_tree.h"
#include "data/part.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace patchforge {

/// How a folder of patches lies.
enum class Layout {
    idc,           ///< <patient>/<0|1>/….png, at any depth, or IDC file names in one folder
    patients,      ///< <patient>/<class>/….png
    class_folders, ///< <class>/….png
    flat,          ///< *.png, no labels
    arrays,        ///< files of many pictures: MNIST's IDX files or NumPy's arrays
};
std::string layout_name(Layout layout);

/// <patient>_idx5_x<X>_y<Y>_class<0|1>.<ending>
struct IdcName {
    std::string_view patient;
    std::int32_t x = -1;
    std::int32_t y = -1;
    std::int32_t label = -1;
};
std::optional<IdcName> idc_name(std::string_view file);

std::vector<std::string_view> components(std::string_view path);

/// Where in the paths of a folder the parts, patients and classes stand.
struct Arrangement {
    Layout layout = Layout::flat;
    std::string reason;  ///< in words, for the report
    std::string wrapper; ///< folders around everything: "", or "my data/" with the slash
    std::map<std::string, Part, std::less<>> parts;                   ///< folders that are parts
    std::map<std::string, std::string, std::less<>> wrappers_in_part; ///< as `wrapper`, for each
    bool part_below_class = false;        ///< <class>/<part>/ instead of <part>/<class>/
    std::set<Part> parts_without_folders; ///< while others have them: their pictures are unlabelled

    /// A path without its wrapper and part.
    struct Place {
        Part part = Part::all;
        std::vector<std::string_view> components; ///< empty: outside the wrapper or the parts
    };
    Place place(std::string_view path) const;
};

/// Decides from the names of pictures and folders (relative to `root`, pictures sorted):
///
/// 1. IDC, where pictures lie in <patient>/<0|1>/ and most of those are named as the IDC set names
///    them;
/// 2. folders that hold everything are looked into; parts (train/test/validation in the spellings
///    of part.h) are taken off;
/// 3. flat, where most pictures lie in no folder;
/// 4. patients, where the folders are named as patients are ("8863", "patient 12", "TCGA-…") and hold
///    the same class folders; IDC, if these are 0 and 1;
/// 5. class folders. But where all folders hold the same folders and 4 does not apply, either may be
///    the classes: std::runtime_error asks for `--layout`.
///
/// `forced` decides instead of 1 and 3 to 5.
Arrangement arrange(const std::string& root, const std::vector<std::string>& pictures,
                    const std::set<std::string>& folders, std::optional<Layout> forced);

} // namespace patchforge
