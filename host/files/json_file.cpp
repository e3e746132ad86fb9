#include "host/files/json_file.h"

#include <fmt/format.h>

#include "data/read_bytes.h"

namespace patchforge {

namespace {

constexpr std::uint64_t max_bytes = 1 << 26;

} // namespace

std::string read_text(const std::filesystem::path& path) {
    const std::vector<std::uint8_t> bytes = read_bytes(path, max_bytes);
    return {bytes.begin(), bytes.end()};
}

Json parse_json(std::string_view text, const std::string& name, bool comments) {
    try {
        return Json::parse(text, comments);
    } catch (const JsonError& error) {
        throw std::runtime_error(fmt::format("{}: not valid JSON ({}); restore or correct the file",
                                             name, error.what()));
    }
}

Json read_json(const std::filesystem::path& path, bool comments) {
    return parse_json(read_text(path), path.string(), comments);
}

std::vector<std::string> whole_lines(const std::filesystem::path& path) {
    std::error_code ignored;
    std::vector<std::string> lines;
    if (!std::filesystem::exists(path, ignored)) {
        return lines;
    }
    const std::string text = read_text(path);
    std::size_t begin = 0;
    for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
        lines.push_back(text.substr(begin, end - begin));
    }
    return lines;
}

} // namespace patchforge
