// Options as tables in Markdown: option, values and default, what it does, presets that set it.
#pragma once

#include <string>
#include <vector>

#include "host/options/options.h"

namespace patchforge {

struct OptionGroup {
    std::string name; // may be empty
    std::string rows; // "| ... |\n" an option
};

// In the order of description.
std::vector<OptionGroup> option_groups(const Options& options, const std::vector<Preset>& presets);

std::string preset_names(const std::vector<Preset>& presets, const std::string& between);

// One table, a bold line above each group that has a name.
std::string option_table(const std::vector<OptionGroup>& groups);

} // namespace patchforge
