#include "host/page/markup.h"

#include <cstddef>

#include "data/escape.h"

namespace patchforge {

std::string escaped(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const char first = text.front();
        const bool control =
            static_cast<unsigned char>(first) < 0x20 && first != '\t' && first != '\n';
        if (length == 0 || control || first == 0x7F) {
            result += "\xEF\xBF\xBD";
        } else if (first == '&') {
            result += "&amp;";
        } else if (first == '<') {
            result += "&lt;";
        } else if (first == '>') {
            result += "&gt;";
        } else if (first == '"') {
            result += "&quot;";
        } else if (first == '\'') {
            result += "&#39;";
        } else {
            result += text.substr(0, length);
        }
        text.remove_prefix(length > 0 ? length : 1);
    }
    return result;
}

} // namespace patchforge
