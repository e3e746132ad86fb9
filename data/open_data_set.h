#pragma once

#include "data/pack.h"
#include "data/packed_set.h"

#include <filesystem>

namespace patchforge {

struct OpenOptions {
    PackOptions pack;
    std::filesystem::path cache; ///< empty: default_cache_folder()
};

/// $XDG_CACHE_HOME/patchforge, or ~/.cache/patchforge.
std::filesystem::path default_cache_folder();

/// What `--data` takes: a `.pfs` file, opened, or a folder of patches, packed once into the cache
/// and reused while it is unchanged: same names, sizes and modification times of all its files, and
/// the same options (threads aside). A changed folder's older pack is removed. `progress` is
/// called only when packing. `report`, where given, is filled when packing and left alone
/// otherwise.
///
/// For a `.pfs` file the options do not matter. Throws what pack_folder and PackedSet::open throw.
PackedSet open_data_set(const std::filesystem::path& path, const OpenOptions& options = {},
                        const Progress& progress = {}, PackReport* report = nullptr);

} // namespace patchforge
