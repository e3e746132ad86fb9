// Figures as tables show them. What is not defined, a share of none or the mean of nothing, is a dash
// and never 0: 0 of 0 is no result.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace patchforge {

inline constexpr const char* undefined = "–";

// NaN for a share of none.
inline double share_of(std::int64_t part, std::int64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole)
                     : std::numeric_limits<double>::quiet_NaN();
}

// With `digits` behind the point.
inline std::string figure_text(double value, int digits) {
    return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : undefined;
}
// "85 %"
inline std::string percent_text(double share, int digits = 0) {
    return std::isfinite(share) ? fmt::format("{:.{}f} %", 100 * share, digits) : undefined;
}
inline std::string share_text(std::int64_t part, std::int64_t whole, int digits = 4) {
    return figure_text(share_of(part, whole), digits);
}

// Columns that a text takes on the terminal.
inline std::size_t columns_of_text(const std::string& text) {
    std::size_t columns = 0;
    for (const char c : text) {
        columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80; // UTF-8's first bytes
    }
    return columns;
}

} // namespace patchforge
