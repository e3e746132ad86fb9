#pragma once

#include <span>
#include <string>
#include <string_view>

/// Names come from file systems, where any bytes but '/' and 0 may stand. Each destination has one
/// function that makes them harmless there; markup (host/page/markup.h) has its own.
namespace patchforge {

/// Length of the UTF-8 sequence that `text` begins with; 0 when it begins with none.
std::size_t utf8_length(std::string_view text);

/// Bytes that are not UTF-8 written as `\xE9`: fit for JSON, whose texts must be UTF-8. Valid text
/// stays as it is.
std::string utf8_text(std::string_view text);

/// The same, and control characters written `\n`, `\t` or `\x1B`, so that a name cannot move the
/// cursor, colour what follows or begin a line of its own.
std::string terminal_text(std::string_view text);
/// Of a text that has lines on purpose: these stay.
std::string terminal_lines(std::string_view text);
/// Names with commas between them.
std::string terminal_list(std::span<const std::string> names);

/// A field of a comma-separated file: quoted where it holds quotes, separators, line breaks or
/// begins with a space; behind an apostrophe where a spreadsheet would calculate it (=, +, -, @, tab,
/// carriage return). Other control characters are written `\x1B`.
std::string csv_field(std::string_view text);
/// The same, always within quotes.
std::string quoted_csv_field(std::string_view text);

} // namespace patchforge
