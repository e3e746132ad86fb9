#include "host/session/named_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "data/atomic_file.h"
#include "data/read_bytes.h"

namespace patchforge {

void check_named_file(const std::string& option, const std::filesystem::path& path,
                      std::string_view mark, bool makes_folders) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    if (path.empty() || (fs::exists(path, ignored) && !fs::is_regular_file(path, ignored))) {
        return;
    }
    if (fs::exists(path, ignored)) {
        std::vector<std::uint8_t> head;
        read_head(path, std::size_t{1} << 16, head);
        if (!head.empty() && std::ranges::search(head, mark).empty()) {
            throw std::invalid_argument(fmt::format(
                "{} {}: holds something that patchforge did not write there, which stays; "
                "name another file, or remove this one",
                option, path.string()));
        }
    }
    if (!makes_folders || fs::exists(path.parent_path(), ignored)) {
        const AtomicFile there(path); // which goes again
    }
}

} // namespace patchforge
