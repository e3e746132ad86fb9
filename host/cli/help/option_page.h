// All verbs and their options as a page in Markdown: docs/options.md.
#pragma once

#include <string>
#include <vector>

#include "host/cli/verb.h"

namespace patchforge {

std::string option_page(const std::vector<const Verb*>& verbs);

} // namespace patchforge
