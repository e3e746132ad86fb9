#pragma once

#include "data/patch_folder.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace patchforge {

/// What becomes of a patch that has not the size of the set.
enum class OddSize {
    skip,   ///< left out
    pad,    ///< the last row and column repeated; what is too large is cut off right and below
    resize, ///< bilinear, pixel centres at half positions
};

struct PackOptions {
    int channels = 0; ///< 3 RGB, 1 grey; 0: grey when all pictures are
    OddSize odd_size = OddSize::skip;
    bool strict = false; ///< odd or unreadable files are an error
    int threads = 0;     ///< 0: one for each processor
    int width = 0;       ///< size of the set in pixels; 0: the most common size in the folder
    int height = 0;
    FolderOptions folder{};
};

struct PackReport {
    std::filesystem::path file;
    Layout layout = Layout::flat;
    std::string reason;                 ///< why this layout
    Part part = Part::all;              ///< what was packed of the folder
    std::map<Part, std::int64_t> parts; ///< pictures (of arrays: files) in each; empty: no parts
    std::int64_t seen = 0;              ///< patches found
    std::int64_t packed = 0;            ///< patches in the file
    std::int64_t odd = 0;               ///< of another size, whatever became of them
    std::int64_t unreadable = 0;        ///< damaged, empty, unreadable
    int channels = 0;
    int height = 0;
    int width = 0;
    std::int64_t patients = 0; ///< 0: unknown
    /// Classes and their patches in the file; 0 for those that only the folder tells of.
    std::vector<std::pair<std::string, std::int64_t>> classes;
    std::map<std::string, std::int64_t> reasons; ///< of everything left out, with counts
    std::vector<std::string> first_named;        ///< at most 5, "path: reason"
    std::filesystem::path side_file;             ///< lists all of them; empty when there are none
};

/// The report in lines for people: what was packed, how the folder was read and why, its parts and
/// classes, and what was left out. Names are fit for a terminal.
std::vector<std::string> report_lines(const PackReport& report);

/// Called now and then, never by two threads at once: patches done, patches in all.
using Progress = std::function<void(std::int64_t done, std::int64_t total)>;

/// Packs a folder (see patch_folder.h for the layouts) into one `.pfs` file.
///
/// Reads the headers of all files first to find the most common size (ties: the larger area, then
/// the larger width), then decodes in parallel and writes in the order of the paths, so the
/// bytes do not depend on the number of threads. Memory stays bounded: the paths (about 150 bytes a
/// file) and a few MB for each thread. Files left out are listed in `<out>.skipped.txt`, one
/// `reason<TAB>path` a line, control characters of paths escaped; a list of an earlier run is
/// removed when there is nothing to list.
///
/// Throws std::invalid_argument for options out of range and for an `out` that is no place for a
/// packed set (an existing file that is none, a pipe, a device, a name too long), and
/// std::runtime_error when the folder is unusable, nothing can be packed, more than half of the
/// patches have another size and would be skipped, or `strict` finds an odd or unreadable file; then
/// no file is written and an older one stays as it was.
PackReport pack_folder(const std::filesystem::path& folder, const std::filesystem::path& out,
                       const PackOptions& options = {}, const Progress& progress = {});

} // namespace patchforge
