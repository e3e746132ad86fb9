// Text and JSON from files: one reader. Regular files only (a named pipe would wait for its writer), of at most 64 MiB;
// every error is a std::runtime_error that begins with the file's name.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "host/files/json.h"

namespace patchforge {

std::string read_text(const std::filesystem::path& path);

Json parse_json(std::string_view text, const std::string& name, bool comments = false);
Json read_json(const std::filesystem::path& path, bool comments = false);

// Of JSON lines, without their ends; a last line without an end, which somebody may be writing, is left out. No file has
// no lines.
std::vector<std::string> whole_lines(const std::filesystem::path& path);

// Calls `use`; what a value of another type than it asks for brings about is said with the file's name.
template <class F>
auto reading_json(const std::string& name, F use) {
    try {
        return use();
    } catch (const JsonError& error) {
        throw std::runtime_error(name + ": a value is not what is read there (" + error.what() +
                                 "); restore or correct the file");
    }
}

} // namespace patchforge
