// Pages for `man`, made from the described options.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "host/cli/verb.h"

namespace patchforge {

// "patchforge-train-gan": what a verb's page is called.
std::string manual_name(const Verb& verb);

// patchforge(1): what the program is, and its verbs.
std::string program_manual(const std::vector<const Verb*>& verbs);
// A page of section 1 for one verb: usage, options by groups, examples, exit status.
std::string verb_manual(const Verb& verb);

// All of them into a folder, which is made: patchforge.1, patchforge-train-gan.1, ...
void write_manuals(const std::filesystem::path& folder, const std::vector<const Verb*>& verbs);

} // namespace patchforge
