#include "host/cli/widths.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace patchforge {

std::vector<std::int64_t> parse_widths(const std::string& text) {
    std::vector<std::int64_t> widths;
    std::size_t begin = 0;
    while (begin <= text.size()) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        const std::string word = text.substr(begin, end - begin);
        std::size_t used = 0;
        try {
            widths.push_back(std::stoll(word, &used));
        } catch (const std::logic_error&) {
            used = std::string::npos;
        }
        if (used != word.size()) {
            throw std::invalid_argument(
                fmt::format("--hidden-dims {}: not a list of widths; write it as 256,256", text));
        }
        begin = end + 1;
    }
    return widths;
}

} // namespace patchforge
