#include "host/cli/config_file.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "host/cli/help/suggestion.h"
#include "host/files/json_file.h"
#include "host/run/parameters_file.h"

namespace patchforge {

namespace {

// The options of a params.json that this verb has: it holds facts about the run, too.
FileOptions read_record(const std::filesystem::path& file, const Options& options) {
    FileOptions result{{}, true};
    for (const auto& [name, value] : read_parameters_file(file)) {
        const std::string text = parameter_text(value);
        const Option* option = options.find(name);
        if (option && !option->positional && !text.empty()) {
            result.given[name] = {text};
        }
    }
    return result;
}

// `preset` is the command line's own: it may stand in a file, too.
FileOptions read_lines(const std::string& text, const Options& options, const Options& own) {
    std::vector<std::string> known;
    for (const Options* some : {&options, &own}) {
        for (const Option& option : some->all()) {
            if (!option.positional && option.name != "config") {
                known.push_back(option.name);
            }
        }
    }
    FileOptions result;
    std::istringstream lines(text);
    for (const CLI::ConfigItem& item : CLI::ConfigTOML().from_config(lines)) {
        if (!item.parents.empty()) {
            throw std::invalid_argument(fmt::format(
                "{}: sections are not read; write lines of name = value", item.parents.front()));
        }
        const std::string name = name_of_flag(item.name);
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            throw std::invalid_argument(
                fmt::format("{}: there is no such option{}", item.name, suggestion(name, known)));
        }
        if (!result.given.emplace(name, std::vector{fmt::format("{}", fmt::join(item.inputs, ","))})
                 .second) {
            throw std::invalid_argument(item.name + ": stands twice; leave one of them out");
        }
    }
    return result;
}

} // namespace

FileOptions read_config(const std::filesystem::path& file, const Options& options,
                        const Options& own) {
    const std::string text = read_text(file);
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    return first != std::string::npos && text[first] == '{' ? read_record(file, options)
                                                            : read_lines(text, options, own);
}

} // namespace patchforge
