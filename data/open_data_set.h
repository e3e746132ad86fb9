#pragma once

#include "data/pack.h"
#include "data/packed_set.h"

#include <cstdint>
#include <filesystem>
#include <map>

namespace patchforge {

struct OpenOptions {
    PackOptions pack;
    std::filesystem::path cache; ///< empty: default_cache_folder()
};

/// $XDG_CACHE_HOME/patchforge, or ~/.cache/patchforge, or a folder of the user's own among the
/// temporary files.
std::filesystem::path default_cache_folder();

/// What `--data` takes: a `.pfs` file, opened, or a folder of patches (or a file of many pictures),
/// packed once into the cache and reused while it is unchanged: same names, sizes and modification
/// times of all its files, and the same options (threads aside). A changed folder's older pack is
/// removed. The set's path() is `path`, whatever the pack is called. `progress` is called only when
/// packing. `report`, where given, is filled when packing and left alone otherwise.
///
/// `a.pfs,b.pfs`, several of these, are opened as one set that holds the patches of all (set_union.h).
///
/// The cache folder is made for the user alone (mode 0700); one that belongs to another user is
/// refused. Of a `.pfs` file only the part is chosen, by the names of its patches; it then lies in the
/// cache as a set of its own. Throws what pack_folder and PackedSet::open throw.
PackedSet open_data_set(const std::filesystem::path& path, const OpenOptions& options = {},
                        const Progress& progress = {}, PackReport* report = nullptr);

/// The parts of a folder or `.pfs` file, with patches (of arrays: files) in each; empty: it has none.
std::map<Part, std::int64_t> data_parts(const std::filesystem::path& path,
                                        const FolderOptions& options = {});

} // namespace patchforge
