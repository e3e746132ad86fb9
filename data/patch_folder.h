#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace patchforge {

/// How a folder of patches lies. Told from the files, never asked.
enum class Layout {
    idc,           ///< <patient>/<0|1>/<patient>_idx5_x<X>_y<Y>_class<0|1>.png, at any depth
    class_folders, ///< <class>/….png
    flat,          ///< *.png, no labels
    idx,           ///< MNIST: <part>-images-idx3-ubyte[.gz] and <part>-labels-idx1-ubyte[.gz]
};
std::string layout_name(Layout layout);

/// Which part of a folder that holds train/ and test/ (and val/), or MNIST's train and t10k files.
enum class Part { all, train, test, validation };
std::string part_name(Part part);

struct PatchEntry {
    std::string path;          // relative to the root, bytes as the file system gives them
    std::int32_t label = -1;   // index into class_names, -1 unknown
    std::int32_t patient = -1; // index into patient_names, -1 unknown
    std::int32_t x = -1;       // position of the patch in its slide, pixels, -1 unknown
    std::int32_t y = -1;
};

/// A pair of MNIST files; labels may be missing.
struct IdxPair {
    std::string part; // "train" or "t10k"
    std::filesystem::path images;
    std::filesystem::path labels; // empty: none
};

struct IgnoredFile {
    std::string path;
    std::string reason;
};

struct PatchFolder {
    std::filesystem::path root;
    Layout layout = Layout::flat;
    std::vector<std::string> class_names;
    std::vector<std::string> patient_names;
    std::vector<PatchEntry> entries;  // sorted by path, bytewise; empty for Layout::idx
    std::vector<IdxPair> idx_pairs;   // Layout::idx only
    std::vector<IgnoredFile> ignored; // sorted by path; everything that is no patch, and why
};

/// Walks the folder, following symbolic links (a link back to a folder above it is ignored).
/// Reads no file, only names, so it does not know whether the PNG files are sound.
///
/// - A first path component train, test, val, valid or validation names the part and is then
///   left out; asking for a part the folder does not have is std::invalid_argument.
/// - IDC: the label is the folder 0 ("no cancer") or 1 ("cancer"). A file whose name contradicts
///   its folder is ignored with that reason, as is a second copy of the same file name (the
///   published archive holds everything twice).
/// - Class folders: classes are numbered in bytewise order of their names; deeper folders belong to
///   the class on top.
///
/// Throws std::runtime_error when the folder is missing or holds no patches.
PatchFolder scan_patch_folder(const std::filesystem::path& root, Part part = Part::all);

} // namespace patchforge
