#include "data/folder_tree.h"

#include "data/file_kind.h"
#include "data/part.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fstream>
#include <stdexcept>
#include <sys/stat.h>
#include <utility>

namespace patchforge {

namespace {

namespace fs = std::filesystem;

/// The ending in small letters: ".png".
std::string ending_of(std::string_view name) {
    const std::size_t dot = name.rfind('.');
    std::string ending(dot == std::string_view::npos ? "" : name.substr(dot));
    std::transform(ending.begin(), ending.end(), ending.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    return ending;
}

std::string reason_to_leave_out(std::string_view name) {
    static constexpr std::pair<std::string_view, std::string_view> known[] = {
        {".tif", "TIFF"},  {".tiff", "TIFF"},  {".bmp", "BMP"},   {".gif", "GIF"},
        {".webp", "WebP"}, {".npz", "NPZ"},    {".h5", "HDF5"},   {".hdf5", "HDF5"},
        {".svs", "slide"}, {".ndpi", "slide"}, {".mrxs", "slide"}};
    const std::string ending = ending_of(name);
    for (const auto& [wanted, kind] : known) {
        if (ending == wanted) {
            return fmt::format("{}, which is not read: make PNG files of it", kind);
        }
    }
    return "no picture: not named *.png, *.jpg or *.npy";
}

/// What archives and file managers leave behind.
bool is_debris(std::string_view folder) {
    return folder == "__MACOSX" || folder == "__pycache__" || folder == "@eaDir" ||
           folder == "lost+found";
}

/// A file to read lines from; without any where it is not a regular one: a named pipe would wait for its writer.
std::ifstream regular_file(const std::string& path) {
    struct stat facts {};
    return ::stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) ? std::ifstream(path)
                                                                       : std::ifstream();
}

/// What patchforge wrote there, such as "train gan"; empty for pictures, its own fakes among them.
std::string report_of_patchforge(const std::string& folder) {
    std::string line;
    std::ifstream list =
        regular_file(folder + "/.patchforge"); // as host/run/output_folder.h writes it
    std::string program, verb;
    if (list >> program >> verb && program == "patchforge") {
        return verb == "generate" || verb == "translate" ? "" : verb;
    }
    std::ifstream parameters =
        regular_file(folder + "/params.json"); // as host/run/parameters_file.h does
    static constexpr std::string_view key = "\"run\": \"";
    while (std::getline(parameters, line) && line.size() < 100) {
        const std::size_t at = line.find(key);
        if (at != std::string::npos) {
            const std::size_t from = at + key.size();
            return line.substr(from, line.find('"', from) - from);
        }
    }
    return "";
}

class Walk {
  public:
    Walk(const fs::path& root, bool follow_links) : root_(root.string()), follow_(follow_links) {
        char resolved[PATH_MAX];
        real_root_ = ::realpath(root_.c_str(), resolved) ? resolved : root_;
    }

    FolderTree read() {
        folder("");
        // Links after all real folders, so that what lies inside is read where it lies. A followed
        // link may bring new ones.
        for (std::size_t i = 0; i < links_.size(); ++i) {
            follow(std::string(links_[i]));
        }
        for (const std::string& report : reports_) {
            drop_folders_above(report);
        }
        std::sort(tree_.pictures.begin(), tree_.pictures.end());
        std::sort(tree_.arrays.begin(), tree_.arrays.end());
        std::sort(tree_.idx.begin(), tree_.idx.end());
        return std::move(tree_);
    }

  private:
    /// `relative` to the root, "" for the root itself.
    void folder(const std::string& relative) {
        const std::string path = relative.empty() ? root_ : root_ + "/" + relative;
        struct stat facts {};
        DIR* handle = ::stat(path.c_str(), &facts) == 0 ? ::opendir(path.c_str()) : nullptr;
        if (!handle) {
            if (relative.empty()) {
                throw std::runtime_error(
                    fmt::format("{}: cannot be opened: {}; check its permissions", root_,
                                std::strerror(errno)));
            }
            ignore(relative, "folder cannot be opened");
            return;
        }
        if (const std::string verb = report_of_patchforge(path);
            !verb.empty() && (!relative.empty() || verb.starts_with("train"))) {
            ::closedir(handle);
            if (relative.empty()) {
                throw std::runtime_error(fmt::format(
                    "{}: is what `patchforge {}` wrote, no set; give a folder of patches", root_,
                    verb));
            }
            tree_.folders.erase(relative);
            ignore(relative, fmt::format("what `patchforge {}` wrote, no class", verb));
            reports_.push_back(relative);
            return;
        }
        if (!read_.emplace(facts.st_dev, facts.st_ino).second) {
            ::closedir(handle);
            ignore(relative, "link to a folder that is read where it lies");
            return;
        }
        std::vector<std::string> folders;
        while (const dirent* item = ::readdir(handle)) {
            const std::string name = item->d_name;
            if (name == "." || name == "..") {
                continue;
            }
            std::string child = relative;
            child.append(relative.empty() ? "" : "/").append(name);
            const unsigned char kind = item->d_type == DT_UNKNOWN ? kind_of(child) : item->d_type;
            if (kind == DT_DIR) {
                if (name[0] == '.' || is_debris(name)) {
                    ignore(child, "hidden folder");
                } else {
                    folders.push_back(std::move(child));
                }
            } else if (kind == DT_LNK) {
                links_.push_back(std::move(child));
            } else if (kind == DT_REG) {
                file(std::move(child), name);
            } else {
                ignore(child, "not a regular file");
            }
        }
        ::closedir(handle); // before going down: depth must not cost open files
        for (const std::string& child : folders) {
            tree_.folders.insert(child);
            folder(child);
        }
    }

    /// A folder that holds reports alone, as runs/ mostly does, is no class either.
    void drop_folders_above(const std::string& report) {
        for (fs::path above = fs::path(report).parent_path(); !above.empty();
             above = above.parent_path()) {
            const std::string inside = above.string() + "/";
            const auto holds = [&](const auto& paths) {
                return std::ranges::any_of(
                    paths, [&](const std::string& path) { return path.starts_with(inside); });
            };
            if (holds(tree_.pictures) || holds(tree_.arrays) || holds(tree_.idx) ||
                holds(tree_.folders)) {
                return;
            }
            tree_.folders.erase(above.string());
        }
    }

    void file(std::string path, std::string_view name) {
        if (name == ".patchforge") {
            return; // a list of our own fakes
        }
        if (name[0] == '.') { // such as the "._x.png" that archives from macOS hold
            ignore(std::move(path), "hidden file");
        } else if (is_picture_name(name)) {
            tree_.pictures.push_back(std::move(path));
        } else if (ending_of(name) == ".npy") {
            tree_.arrays.push_back(std::move(path));
        } else if (is_idx_name(name)) {
            tree_.idx.push_back(std::move(path));
        } else {
            ignore(std::move(path), reason_to_leave_out(name));
        }
    }

    void follow(const std::string& link) {
        const std::string path = root_ + "/" + link;
        const std::string name = link.substr(link.rfind('/') + 1);
        char resolved[PATH_MAX];
        struct stat facts {};
        if (::stat(path.c_str(), &facts) != 0 || !::realpath(path.c_str(), resolved)) {
            ignore(link, "broken symbolic link");
            return;
        }
        const std::string target = resolved;
        const bool inside = target == real_root_ || target.starts_with(real_root_ + "/");
        if (S_ISDIR(facts.st_mode) && (inside || read_.contains({facts.st_dev, facts.st_ino}))) {
            ignore(link, "link to a folder that is read where it lies");
        } else if (!inside && !follow_) {
            ignore(link, "link that leaves the set; --follow-links reads it");
        } else if (S_ISDIR(facts.st_mode)) {
            tree_.folders.insert(link);
            folder(link);
        } else if (S_ISREG(facts.st_mode)) {
            file(link, name);
        } else {
            ignore(link, "not a regular file");
        }
    }

    unsigned char kind_of(const std::string& child) const {
        struct stat facts {};
        if (::lstat((root_ + "/" + child).c_str(), &facts) != 0) {
            return DT_UNKNOWN;
        }
        return S_ISDIR(facts.st_mode)   ? DT_DIR
               : S_ISLNK(facts.st_mode) ? DT_LNK
               : S_ISREG(facts.st_mode) ? DT_REG
                                        : DT_CHR;
    }

    void ignore(std::string path, std::string reason) {
        tree_.others.push_back({std::move(path), std::move(reason)});
    }

    std::string root_;
    std::string real_root_;
    bool follow_;
    FolderTree tree_;
    std::vector<std::string> links_;
    std::vector<std::string> reports_; // folders that patchforge wrote
    std::set<std::pair<dev_t, ino_t>> read_;
};

} // namespace

bool is_picture_name(std::string_view name) {
    const std::string ending = ending_of(name);
    return name.size() > ending.size() &&
           (ending == ".png" || ending == ".jpg" || ending == ".jpeg" || ending == ".jpe");
}

bool is_idx_name(std::string_view name) {
    for (const std::string& word : words_of(name)) {
        if (word == "ubyte" || word == "idx" || word == "idx1" || word == "idx2" ||
            word == "idx3" || word == "idx4") {
            return true;
        }
    }
    return false;
}

FolderTree read_folder_tree(const fs::path& root, bool follow_links) {
    struct stat facts {};
    const bool there = ::stat(root.c_str(), &facts) == 0;
    if (!there || !S_ISDIR(facts.st_mode)) {
        throw std::runtime_error(fmt::format("{}: {}; give a folder of patches", root.string(),
                                             there ? "not a folder but " + file_kind(root)
                                             : errno == ENOENT
                                                 ? std::string("does not exist")
                                                 : std::string(std::strerror(errno))));
    }
    return Walk(root, follow_links).read();
}

} // namespace patchforge
