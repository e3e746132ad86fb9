// Text inside HTML and SVG.
#pragma once

#include <string>
#include <string_view>

namespace patchforge {

// & < > " ' as entities; control characters but tab and newline become U+FFFD, as do bytes that are
// not UTF-8.
std::string escaped(std::string_view text);

} // namespace patchforge
