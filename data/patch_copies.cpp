#include "data/patch_folder.h"
#include "data/read_bytes.h"

#include <algorithm>

namespace patchforge {

void remove_copies(PatchFolder& folder) {
    std::vector<std::uint8_t> first;
    std::vector<std::uint8_t> second;
    constexpr std::uint64_t limit = std::uint64_t{1} << 28;
    const auto is_copy = [&](const PatchEntry& entry) {
        if (entry.twin < 0) {
            return false;
        }
        try {
            read_bytes(folder.root / folder.entries[entry.twin].path, limit, first);
            read_bytes(folder.root / entry.path, limit, second);
        } catch (const FileError&) {
            return false; // whatever is wrong with it is said when it is packed
        }
        return first == second;
    };
    std::vector<bool> copies;
    copies.reserve(folder.entries.size());
    for (const PatchEntry& entry : folder.entries) {
        copies.push_back(is_copy(entry));
    }
    std::vector<PatchEntry> kept;
    for (std::size_t i = 0; i < folder.entries.size(); ++i) {
        if (copies[i]) {
            folder.ignored.push_back(
                {std::move(folder.entries[i].path), "second copy of the same patch"});
        } else {
            folder.entries[i].twin = -1;
            kept.push_back(std::move(folder.entries[i]));
        }
    }
    folder.entries = std::move(kept);
    std::sort(folder.ignored.begin(), folder.ignored.end(),
              [](const IgnoredFile& a, const IgnoredFile& b) { return a.path < b.path; });
}

} // namespace patchforge
