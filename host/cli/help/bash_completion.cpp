#include "host/cli/help/bash_completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "host/options/option_table.h"

namespace patchforge {

namespace {

// The words that an option takes, of its placeholder: "auto|cpu|cuda[:N]" -> "auto cpu cuda". Capitals stand
// for other texts. Empty: any text.
std::string words_of(const Option& option) {
    std::istringstream parts(option.placeholder);
    std::string words;
    for (std::string part; std::getline(parts, part, '|');) {
        part = part.substr(0, part.find('['));
        const bool word = std::ranges::none_of(part, [](char c) { return c >= 'A' && c <= 'Z'; });
        words += word && part != option.placeholder ? part + ' ' : "";
    }
    return words;
}

} // namespace

std::string bash_completion(const std::vector<const Verb*>& verbs) {
    std::map<std::string, std::string> below; // "" -> first words, "train" -> its second ones
    std::string cases;
    for (const Verb* verb : verbs) {
        const std::size_t space = verb->name.find(' ');
        const std::string first = verb->name.substr(0, space);
        if (space == std::string::npos || !below.contains(first)) {
            below[""] += first + ' ';
        }
        if (space != std::string::npos) {
            below[first] += verb->name.substr(space + 1) + ' ';
        }
        std::string flags = "--help --config";
        std::string values;
        for (const Option& option : verb->options.all()) {
            if (option.positional) {
                continue;
            }
            flags += ' ' + option.flag();
            if (const std::string words = words_of(option); !words.empty()) {
                values += fmt::format("            '{}') words='{}' ;;\n", option.flag(), words);
            }
        }
        if (!verb->presets.empty()) {
            flags += " --preset";
            values += fmt::format("            '--preset') words='{}' ;;\n",
                                  preset_names(verb->presets, " "));
        }
        cases += fmt::format("        '{}')\n            flags='{}'\n"
                             "            case \"$before\" in\n{}            esac ;;\n",
                             verb->name, flags, values);
    }
    std::string groups;
    std::vector<std::string> firsts;
    for (const auto& [first, seconds] : below) {
        if (!first.empty()) {
            firsts.push_back(first);
            groups += fmt::format("        '{}') words='{}' ;;\n", first, seconds);
        }
    }
    return fmt::format(
        R"sh(# Completion of patchforge in bash; made by `patchforge help --bash-completion`.
_patchforge() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    local verb=${{COMP_WORDS[1]}} words='' flags=''
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W '{}help --help --version' -- "$word"))
        return
    fi
    case "$verb" in
        {}) verb="$verb ${{COMP_WORDS[2]}}"
            if ((COMP_CWORD == 2)); then
                case "${{COMP_WORDS[1]}}" in
{}                esac
                COMPREPLY=($(compgen -W "$words" -- "$word"))
                return
            fi ;;
        help) COMPREPLY=($(compgen -W '{}' -- "$word"))
            return ;;
    esac
    case "$verb" in
{}    esac
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$word"))
    elif [[ -n $words ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    fi
}}
complete -o default -o bashdefault -F _patchforge patchforge
)sh",
        below[""], fmt::join(firsts, "|"), groups, below[""], cases);
}

} // namespace patchforge
