#include "data/escape.h"

#include <fmt/format.h>

namespace patchforge {

namespace {

std::string hexadecimal(char byte) {
    return fmt::format("\\x{:02X}", static_cast<unsigned char>(byte));
}

} // namespace

std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    if (text.empty()) {
        return 0;
    }
    const unsigned first = byte(0);
    const std::size_t length = first < 0x80   ? 1
                               : first < 0xC2 ? 0
                               : first < 0xE0 ? 2
                               : first < 0xF0 ? 3
                               : first < 0xF5 ? 4
                                              : 0;
    if (length > text.size()) {
        return 0;
    }
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) {
            return 0;
        }
    }
    // Overlong forms, surrogates and what lies beyond U+10FFFF.
    if (length > 2) {
        const unsigned second = byte(1);
        if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
            (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) {
            return 0;
        }
    }
    return length;
}

std::string utf8_text(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            result += hexadecimal(text.front());
        } else {
            result += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return result;
}

std::string terminal_text(std::string_view text) {
    std::string result;
    for (const char letter : utf8_text(text)) {
        if (letter == '\n') {
            result += "\\n";
        } else if (letter == '\t') {
            result += "\\t";
        } else if (static_cast<unsigned char>(letter) < 0x20 || letter == 0x7F) {
            result += hexadecimal(letter);
        } else {
            result += letter;
        }
    }
    // The controls of ISO 8859-1, U+0080 to U+009F, among them a second way to begin a sequence.
    for (std::size_t at = 0; (at = result.find('\xC2', at)) != std::string::npos; ++at) {
        if (static_cast<unsigned char>(result[at + 1]) < 0xA0) {
            result.replace(at, 2, hexadecimal(result[at + 1]));
        }
    }
    return result;
}

std::string terminal_lines(std::string_view text) {
    std::string result;
    for (std::size_t end; (end = text.find('\n')) != std::string_view::npos;
         text.remove_prefix(end + 1)) {
        result += terminal_text(text.substr(0, end)) + '\n';
    }
    return result + terminal_text(text);
}

std::string terminal_list(std::span<const std::string> names) {
    std::string result;
    for (const std::string& name : names) {
        result += (result.empty() ? "" : ", ") + terminal_text(name);
    }
    return result;
}

namespace {

// Quotes, where `always` or needed.
std::string csv(std::string_view text, bool always) {
    std::string field;
    for (const char letter : utf8_text(text)) {
        const bool control = static_cast<unsigned char>(letter) < 0x20 || letter == 0x7F;
        const bool kept = letter == '\t' || letter == '\r' || letter == '\n';
        field += control && !kept ? hexadecimal(letter) : std::string(1, letter);
    }
    if (!field.empty() && std::string_view("=+-@\t\r").find(field[0]) != std::string_view::npos) {
        field.insert(field.begin(), '\'');
    }
    if (!always && field.find_first_of("\",;\t\r\n") == std::string::npos &&
        !field.starts_with(' ')) {
        return field;
    }
    for (std::size_t at = 0; (at = field.find('"', at)) != std::string::npos; at += 2) {
        field.insert(at, 1, '"');
    }
    return '"' + field + '"';
}

} // namespace

std::string csv_field(std::string_view text) {
    return csv(text, false);
}

std::string quoted_csv_field(std::string_view text) {
    return csv(text, true);
}

} // namespace patchforge
