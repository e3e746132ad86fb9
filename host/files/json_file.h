// JSON from files: one reader. Regular files only (a named pipe would wait for its writer), of at most 64 MiB, nested at most
// 64 deep; every error is a std::runtime_error that begins with the file's name.
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace patchforge {

std::string read_text(const std::filesystem::path& path);

// `comments`: // and /* */ are passed over.
nlohmann::ordered_json parse_json(std::string_view text, const std::string& name,
                                  bool comments = false);
nlohmann::ordered_json read_json(const std::filesystem::path& path, bool comments = false);

// Of JSON lines, without their ends; a last line without an end, which somebody may be writing, is left out. No file has
// no lines.
std::vector<std::string> whole_lines(const std::filesystem::path& path);

// JSON as text. Paths stand in it, too, and may hold any bytes: what is not UTF-8 becomes U+FFFD.
template <class Json>
std::string dumped(const Json& json, int indent = -1) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// Calls `use`; what a value of another type than it asks for brings about is said with the file's name.
template <class F>
auto reading_json(const std::string& name, F use) {
    try {
        return use();
    } catch (const nlohmann::json::exception& error) {
        throw std::runtime_error(name + ": a value is not what is read there (" + error.what() +
                                 "); restore or correct the file");
    }
}

} // namespace patchforge
