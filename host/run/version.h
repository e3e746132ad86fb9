// What this program is, for reports and checkpoints.
#pragma once

#include <string>

namespace patchforge {

std::string version(); // "0.1.0"
std::string
commit(); // short hash, "+" behind it when the sources were changed; "unknown" without git
std::string version_text(); // "patchforge 0.1.0 (8a7213a)"

} // namespace patchforge
