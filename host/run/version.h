// What this program is, for reports and checkpoints.
#pragma once

#include <string>

namespace patchforge {

std::string version(); // "0.2.0", as the newest in CHANGELOG.md
std::string
commit(); // short hash, "+" behind it when the sources were changed; "unknown" without git
std::string version_text(); // "patchforge 0.2.0 (8a7213a)"

} // namespace patchforge
