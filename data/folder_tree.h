#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace patchforge {

struct IgnoredFile {
    std::string path;
    std::string reason;
};

/// What lies in a folder, by name alone. Paths are relative to it, bytes as the file system gives
/// them, sorted bytewise.
struct FolderTree {
    std::vector<std::string> pictures; ///< *.png, *.jpg, *.jpeg, in any case
    std::vector<std::string> arrays;   ///< *.npy
    std::vector<std::string> idx;      ///< files of MNIST's kind, plain or .gz
    std::set<std::string> folders;     ///< also those that hold none of these
    std::vector<IgnoredFile> others;   ///< everything else, and why
};

/// Every real folder is read once, however many links lead to it. Links to folders inside are left
/// out: what they lead to is read where it lies. Links to files and folders outside are left out
/// unless `follow_links`. Folders of runs and of reports that patchforge wrote are left out; its fakes
/// are pictures like others. Throws std::runtime_error when `root` is no folder or cannot be opened.
FolderTree read_folder_tree(const std::filesystem::path& root, bool follow_links = false);

bool is_picture_name(std::string_view name);
bool is_idx_name(std::string_view name);

} // namespace patchforge
