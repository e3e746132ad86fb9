// Completion of verbs, options and their values in bash, made from the described options.
#pragma once

#include <string>
#include <vector>

#include "host/cli/verb.h"

namespace patchforge {

// A script for bash-completion's folder: verbs, then a verb's options, then the names that an option
// takes; files wherever else.
std::string bash_completion(const std::vector<const Verb*>& verbs);

} // namespace patchforge
