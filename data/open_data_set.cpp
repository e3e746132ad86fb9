#include "data/open_data_set.h"

#include "data/random_sequence.h"

#include <fmt/format.h>

#include <cstdlib>
#include <stdexcept>
#include <sys/stat.h>

namespace patchforge {

namespace {

namespace fs = std::filesystem;

/// Raised when packing changes what it makes of the same folder.
constexpr int packing_version = 1;

std::string options_text(const PackOptions& options) {
    return fmt::format("{} {} {} {} {} {} {}", packing_version, options.channels,
                       static_cast<int>(options.odd_size), static_cast<int>(options.part),
                       options.width, options.height, options.strict);
}

/// Changes when a file appears, goes, grows, shrinks or is written again.
std::uint64_t fingerprint(const PatchFolder& folder) {
    std::uint64_t hash = hash_text(0, layout_name(folder.layout));
    const auto add = [&](const fs::path& path, const std::string& name) {
        struct stat facts {};
        if (::stat(path.c_str(), &facts) != 0) {
            facts = {};
        }
        hash = hash_text(hash, name);
        for (const std::int64_t number :
             {std::int64_t{facts.st_size}, std::int64_t{facts.st_mtim.tv_sec},
              std::int64_t{facts.st_mtim.tv_nsec}}) {
            hash = mix_bits(hash ^ static_cast<std::uint64_t>(number)) + 1;
        }
    };
    const std::string root = folder.root.string() + "/";
    for (const PatchEntry& entry : folder.entries) {
        add(root + entry.path, entry.path);
    }
    for (const IdxPair& pair : folder.idx_pairs) {
        add(pair.images, pair.images.filename().string());
        add(pair.labels, pair.labels.filename().string());
    }
    return hash;
}

void make_cache_folder(const fs::path& cache) {
    std::error_code error;
    fs::create_directories(cache, error);
    if (error) {
        throw std::runtime_error(fmt::format("{}: cannot create the cache folder: {}; set "
                                             "XDG_CACHE_HOME to a folder you may write to, or "
                                             "run `patchforge pack` and give the .pfs file",
                                             cache.string(), error.message()));
    }
}

/// Removes the packs of earlier states of the same folder. Programs that have one open keep it.
void remove_older(const fs::path& cache, const std::string& prefix, const fs::path& keep) {
    std::error_code ignored;
    for (const fs::directory_entry& file : fs::directory_iterator(cache, ignored)) {
        const std::string name = file.path().filename().string();
        if (name.starts_with(prefix) && !name.starts_with(keep.filename().string())) {
            fs::remove(file.path(), ignored);
        }
    }
}

} // namespace

fs::path default_cache_folder() {
    // Relative values are to be ignored (XDG Base Directory Specification).
    const char* base = std::getenv("XDG_CACHE_HOME");
    if (base && base[0] == '/') {
        return fs::path(base) / "patchforge";
    }
    if (const char* home = std::getenv("HOME"); home && home[0] != '\0') {
        return fs::path(home) / ".cache" / "patchforge";
    }
    return fs::temp_directory_path() / "patchforge-cache";
}

PackedSet open_data_set(const fs::path& path, const OpenOptions& options, const Progress& progress,
                        PackReport* report) {
    if (!fs::exists(path)) {
        throw std::runtime_error(fmt::format(
            "{}: does not exist; give a folder of patches or a .pfs file", path.string()));
    }
    if (!fs::is_directory(path)) {
        return PackedSet::open(path);
    }
    const fs::path folder = fs::canonical(path);
    const fs::path cache = options.cache.empty() ? default_cache_folder() : options.cache;
    make_cache_folder(cache);
    const std::string prefix =
        fmt::format("{}-{:016x}-", folder.filename().string().substr(0, 150),
                    hash_text(hash_text(0, folder.string()), options_text(options.pack)));
    const std::uint64_t state = fingerprint(scan_patch_folder(folder, options.pack.part));
    const fs::path packed = cache / fmt::format("{}{:016x}.pfs", prefix, state);
    if (fs::exists(packed)) {
        try {
            return PackedSet::open(packed);
        } catch (const std::runtime_error&) {
            // A damaged cache is no reason to stop: it is made again below.
        }
    }
    PackReport made = pack_folder(folder, packed, options.pack, progress);
    remove_older(cache, prefix, packed);
    if (report) {
        *report = std::move(made);
    }
    return PackedSet::open(packed);
}

} // namespace patchforge
