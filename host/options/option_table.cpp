#include "host/options/option_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace patchforge {

namespace {

// What a cell of a table cannot hold as it is.
std::string cell(const std::string& text) {
    std::string result;
    for (const char c : text) {
        result += c == '|' ? "\\|" : std::string(1, c);
    }
    return result;
}

std::string values_of(const Option& option) {
    if (option.positional) {
        return option.repeated ? "one or more" : "";
    }
    if (option.placeholder.empty()) {
        return "a switch";
    }
    const std::string values = option.values.empty() ? option.placeholder : option.values;
    return option.standard.empty() ? values
                                   : fmt::format("{} ({})", values, shortened(option.standard));
}

std::string help_of(const Option& option, const std::vector<Preset>& presets, bool resumes) {
    std::string help = option.help;
    if (option.required) {
        help += "; required";
    }
    for (const std::string& other : option.needs) {
        help += fmt::format("; only beside `{}`", flag_of(other));
    }
    if (option.may_change && resumes) {
        help += "; may change at `--resume`";
    }
    for (const Preset& preset : presets) {
        for (const auto& [name, text] : preset.settings) {
            if (name == option.name) {
                help += fmt::format("; {}: {}", preset.name, text);
            }
        }
    }
    return help;
}

} // namespace

std::vector<OptionGroup> option_groups(const Options& options, const std::vector<Preset>& presets) {
    std::vector<OptionGroup> groups;
    for (const Option& option : options.all()) {
        auto group = std::find_if(groups.begin(), groups.end(),
                                  [&](const OptionGroup& one) { return one.name == option.group; });
        if (group == groups.end()) {
            group = groups.insert(group, {option.group, ""});
        }
        group->rows +=
            fmt::format("| `{}` | {} | {} |\n", option.flag(), cell(values_of(option)),
                        cell(help_of(option, presets, options.find("resume") != nullptr)));
    }
    return groups;
}

std::string preset_names(const std::vector<Preset>& presets, const std::string& between) {
    std::string names;
    for (const Preset& preset : presets) {
        names += (names.empty() ? "" : between) + preset.name;
    }
    return names;
}

std::string option_table(const std::vector<OptionGroup>& groups) {
    std::string table = "| option | values (default) | what it is |\n|---|---|---|\n";
    for (const OptionGroup& group : groups) {
        if (!group.name.empty()) {
            table += fmt::format("| **{}** | | |\n", group.name);
        }
        table += group.rows;
    }
    return table;
}

} // namespace patchforge
