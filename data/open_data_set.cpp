#include "data/open_data_set.h"

#include "data/escape.h"
#include "data/random_sequence.h"
#include "data/set_part.h"
#include "data/set_union.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

namespace patchforge {

namespace {

namespace fs = std::filesystem;

/// Raised when packing changes what it makes of the same folder.
constexpr int packing_version = 3;

/// What decides the bytes of a pack beside the files: threads do not.
std::uint64_t hash_options(std::uint64_t hash, const PackOptions& options, Part part) {
    hash = hash_text(
        hash, fmt::format("{} {} {} {} {} {} {} {} {}", packing_version, options.channels,
                          static_cast<int>(options.odd_size), options.width, options.height,
                          options.strict, options.folder.follow_links, static_cast<int>(part),
                          options.folder.layout ? static_cast<int>(*options.folder.layout) : -1));
    return hash_text(hash, options.folder.patient_pattern);
}

/// Changes when a file appears, goes, grows, shrinks or is written again.
std::uint64_t fingerprint(const PatchFolder& folder, const fs::path& labels) {
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
    for (const StackPair& stack : folder.stacks) {
        add(stack.pictures, stack.pictures.string());
        add(stack.labels, stack.labels.string());
    }
    if (!labels.empty()) {
        add(labels, labels.string());
    }
    for (const std::string& name : folder.class_names) { // also of other parts and of empty folders
        hash = hash_text(hash, name);
    }
    return hash;
}

constexpr const char* without_cache = "set XDG_CACHE_HOME to a folder of your own, or run "
                                      "`patchforge pack` and give the .pfs file";

/// Ours, and nobody else's to write: what lies in it is trusted.
void make_cache_folder(const fs::path& cache) {
    const auto refuse = [&](const std::string& what) {
        throw std::runtime_error(fmt::format("{}: {}; {}", cache.string(), what, without_cache));
    };
    std::error_code error;
    fs::create_directories(cache.parent_path(), error);
    if (::mkdir(cache.c_str(), 0700) != 0 && errno != EEXIST) {
        refuse(fmt::format("cannot create the cache folder: {}",
                           error ? error.message() : std::strerror(errno)));
    }
    struct stat facts {};
    if (::stat(cache.c_str(), &facts) != 0 || !S_ISDIR(facts.st_mode)) {
        refuse("the cache is no folder");
    }
    if (facts.st_uid != ::geteuid()) {
        refuse("the cache folder belongs to another user");
    }
    if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0 && ::chmod(cache.c_str(), 0700) != 0) {
        refuse("others may write to the cache folder");
    }
}

/// Makes the pack of `path` there. Where it cannot be written, on a full disk for example, the user's path is named.
template <class F>
auto make_in_cache(const fs::path& path, const fs::path& packed, F make) {
    try {
        return make();
    } catch (const std::runtime_error& error) {
        const std::string text = error.what();
        if (!text.starts_with(packed.string())) {
            throw;
        }
        throw std::runtime_error(fmt::format("{}: no room for it in the cache: {}; {}",
                                             path.string(), text, without_cache));
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
    // Users of services and of containers have a home that is not there or not theirs.
    const auto writable = [](const fs::path& folder) {
        return ::access(folder.c_str(), W_OK | X_OK) == 0;
    };
    if (const char* home = std::getenv("HOME"); home && home[0] == '/') {
        const fs::path cache = fs::path(home) / ".cache";
        if (writable(cache) || writable(cache / "patchforge") || writable(home)) {
            return cache / "patchforge";
        }
    }
    // Others may write to this one, too; make_cache_folder trusts a folder of ours alone.
    std::error_code error;
    const fs::path temporary = fs::temp_directory_path(error);
    return (error ? fs::path("/tmp") : temporary) / fmt::format("patchforge-cache-{}", ::geteuid());
}

namespace {

/// A folder, or a file of many pictures, packed into the cache or found there.
PackedSet open_packed(const fs::path& path, const OpenOptions& options, const Progress& progress,
                      PackReport* report) {
    const fs::path source = fs::canonical(path);
    const fs::path cache = options.cache.empty() ? default_cache_folder() : options.cache;
    make_cache_folder(cache);
    PatchFolder folder = scan_patch_folder(source, options.pack.folder);
    const std::string name = utf8_text(source.filename().string());
    const std::string prefix =
        fmt::format("{}-{:016x}-", name.substr(0, 150),
                    hash_options(hash_text(0, source.string()), options.pack, folder.part));
    const fs::path packed = cache / fmt::format("{}{:016x}.pfs", prefix,
                                                fingerprint(folder, options.pack.folder.labels));
    if (fs::exists(packed)) {
        try {
            return PackedSet::open(packed, path);
        } catch (const std::runtime_error&) {
            // A damaged cache is no reason to stop: it is made again below.
        }
    }
    PackReport made = make_in_cache(
        path, packed, [&] { return pack_folder(source, packed, options.pack, progress); });
    made.file = path;
    remove_older(cache, prefix, packed);
    if (report) {
        *report = std::move(made);
    }
    return PackedSet::open(packed, path);
}

std::map<Part, std::int64_t> counts_of(const std::map<Part, std::vector<std::int64_t>>& rows) {
    std::map<Part, std::int64_t> counts;
    for (const auto& [part, of_part] : rows) {
        counts[part] = std::ssize(of_part);
    }
    return counts;
}

/// A packed set, or one part of it as a set of its own in the cache.
PackedSet open_file(const fs::path& path, const OpenOptions& options) {
    PackedSet set = PackedSet::open(path);
    const FolderOptions& wanted = options.pack.folder;
    if (wanted.part == Part::all ||
        (wanted.part == Part::usual && wanted.usual_part == Part::all)) {
        return set;
    }
    const auto rows = parts_of(set);
    const Part part = choose_part(path, wanted, counts_of(rows));
    if (part == Part::all) {
        return set;
    }
    const fs::path cache = options.cache.empty() ? default_cache_folder() : options.cache;
    make_cache_folder(cache);
    const fs::path packed =
        cache / fmt::format("{}-{}-{:016x}.pfs", utf8_text(path.filename().string()).substr(0, 150),
                            part_name(part), set.content_hash());
    if (!is_packed_set(packed)) {
        make_in_cache(path, packed, [&] { write_rows(set, rows.at(part), packed); });
    }
    return PackedSet::open(packed, path);
}

/// Several sets, as one in the cache.
PackedSet open_several(const std::vector<fs::path>& paths, const fs::path& shown,
                       const OpenOptions& options, const Progress& progress, PackReport* report) {
    std::vector<PackedSet> sets;
    std::uint64_t hash = 0;
    for (const fs::path& path : paths) {
        sets.push_back(open_data_set(path, options, progress, report));
        hash = mix_bits(hash ^ sets.back().content_hash()) + 1;
    }
    const fs::path cache = options.cache.empty() ? default_cache_folder() : options.cache;
    make_cache_folder(cache);
    const fs::path packed = cache / fmt::format("several-{:016x}.pfs", hash);
    if (!is_packed_set(packed)) {
        write_union(sets, packed);
    }
    return PackedSet::open(packed, shown);
}

} // namespace

PackedSet open_data_set(const fs::path& path, const OpenOptions& options, const Progress& progress,
                        PackReport* report) {
    if (const auto paths = listed_paths(path); paths.size() > 1) {
        return open_several(paths, path, options, progress, report);
    }
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) {
        throw std::runtime_error(
            fmt::format("{}: {}; give a folder of patches or a .pfs file", path.string(),
                        error && error != std::errc::no_such_file_or_directory ? error.message()
                                                                               : "does not exist"));
    }
    const bool packs =
        fs::is_directory(status) || (fs::is_regular_file(status) && !is_packed_set(path) &&
                                     is_stack_name(path.filename().string()));
    return packs ? open_packed(path, options, progress, report) : open_file(path, options);
}

std::map<Part, std::int64_t> data_parts(const fs::path& path, const FolderOptions& options) {
    FolderOptions all = options;
    all.part = Part::all;
    if (const auto paths = listed_paths(path); paths.size() > 1) {
        std::map<Part, std::int64_t> sums;
        for (const fs::path& one : paths) {
            for (const auto& [part, count] : data_parts(one, options)) {
                sums[part] += count;
            }
        }
        return sums;
    }
    return is_packed_set(path) ? counts_of(parts_of(PackedSet::open(path)))
                               : scan_patch_folder(path, all).parts;
}

} // namespace patchforge
