#pragma once

#include "data/folder_tree.h"
#include "data/layout.h"
#include "data/part.h"
#include "data/picture_stack.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace patchforge {

/// How a folder is read. Everything may be left to what its files say.
struct FolderOptions {
    Part part = Part::usual;
    /// What Part::usual means: that part where the folder has it (instead of test, validation), else
    /// the whole folder.
    Part usual_part = Part::all;
    std::optional<Layout> layout{}; ///< nothing: decided by arrange()
    /// ECMAScript regular expression, searched for in the path of each patch; the patient is its
    /// first group, or what it matched. Empty: as the layout says.
    std::string patient_pattern{};
    std::filesystem::path
        labels{};              ///< a table (labels_file.h) instead of class folders; empty: none
    bool follow_links = false; ///< also out of the folder
};

/// The part that such options choose of parts with these counts. Throws std::invalid_argument naming
/// `root` where the part asked for is not there.
Part choose_part(const std::filesystem::path& root, const FolderOptions& options,
                 const std::map<Part, std::int64_t>& parts);

struct PatchEntry {
    std::string path;          // relative to the root, bytes as the file system gives them
    std::int32_t label = -1;   // index into class_names, -1 unknown
    std::int32_t patient = -1; // index into patient_names, -1 unknown
    std::int32_t x = -1;       // position of the patch in its slide, pixels, -1 unknown
    std::int32_t y = -1;
    std::int32_t twin = -1; // index of an entry of the same patient, class and name; -1 none
};

struct PatchFolder {
    std::filesystem::path root;
    Layout layout = Layout::flat;
    std::string reason;                 // why this layout, in words
    Part part = Part::all;              // what the entries are of it
    std::map<Part, std::int64_t> parts; // pictures (or, of arrays, files) in each; empty: no parts
    /// In the order of their numbers, as UTF-8 text. Those of the whole folder, whatever the part, and
    /// of folders that hold no pictures too.
    std::vector<std::string> class_names;
    std::vector<std::string> patient_names;
    std::vector<PatchEntry> entries;  // sorted by path, bytewise; empty for Layout::arrays
    std::vector<StackPair> stacks;    // Layout::arrays only
    std::vector<IgnoredFile> ignored; // sorted by path; everything that is left out, and why
};

/// Walks the folder and decides how it lies (layout.h). Reads names alone, but for the labels of
/// arrays and `options.labels`; whether pictures are sound is not known yet. `root` may also be a
/// file of pictures, IDX or `.npy`: it and its labels beside it are the folder then.
///
/// - IDC: the label is the folder 0 ("no cancer") or 1 ("cancer"). A file whose name contradicts
///   its folder is ignored with that reason. Files of the same patient, class and name are marked as
///   twins; remove_copies compares their bytes.
/// - Class folders: classes are numbered in bytewise order of their names; deeper folders belong to
///   the class on top. Where most files are named as in the IDC set, that name tells patient and
///   position.
/// - Arrays: the classes are the labels that occur, numbered by value.
///
/// Throws std::runtime_error when the folder is missing, holds no patches, or cannot be told;
/// std::invalid_argument for a part that it does not have and for options that fit nothing.
PatchFolder scan_patch_folder(const std::filesystem::path& root, const FolderOptions& options = {});

/// Takes out entries that hold the same bytes as their twin, and lists them as ignored. (The
/// published IDC archive holds every patch twice.)
void remove_copies(PatchFolder& folder);

} // namespace patchforge
