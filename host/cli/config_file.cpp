#include "host/cli/config_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "data/escape.h"
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
    for (std::string line; std::getline(lines, line);) { // CLI11 passes over what is so short
        line.erase(0, std::min(line.find_first_not_of(" \t\r"), line.size()));
        line.erase(line.find_last_not_of(" \t\r") + 1);
        if (!line.empty() && line.size() < 3 && line[0] != '#') {
            throw std::invalid_argument(
                fmt::format("'{}': is no line of name = value", terminal_text(line)));
        }
    }
    for (const ConfigLine& item : config_lines(text)) {
        if (!item.section.empty()) {
            throw std::invalid_argument(fmt::format(
                "{}: sections are not read; write lines of name = value", item.section));
        }
        const std::string name = name_of_flag(item.name);
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            throw std::invalid_argument(
                fmt::format("{}: there is no such option{}", item.name, suggestion(name, known)));
        }
        if (!result.given.emplace(name, std::vector{item.value}).second) {
            throw std::invalid_argument(item.name + ": stands twice; leave one of them out");
        }
    }
    return result;
}

} // namespace

FileOptions read_config(const std::filesystem::path& file, const Options& options,
                        const Options& own) {
    std::string text = read_text(file);
    if (text.starts_with("\xEF\xBB\xBF")) { // a byte order mark, as editors on Windows write it
        text.erase(0, 3);
    }
    if (text.find('\0') != std::string::npos || text.starts_with("\xFF\xFE") ||
        text.starts_with("\xFE\xFF")) {
        throw std::invalid_argument("not text in UTF-8; save it as such");
    }
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    return first != std::string::npos && text[first] == '{' ? read_record(file, options)
                                                            : read_lines(text, options, own);
}

} // namespace patchforge
