#include "host/page/text_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "data/escape.h"
#include "host/page/figure_text.h"

namespace patchforge {

bool looks_numeric(const std::string& cell) {
    if (cell.empty() || cell == "-" || cell == undefined || cell == "nan" || cell == "inf") {
        return true;
    }
    bool digit = false;
    for (std::size_t i = 0; i < cell.size(); ++i) {
        const char c = cell[i];
        if (c >= '0' && c <= '9') {
            digit = true;
        } else if (cell.compare(i, 2, "±") == 0) {
            ++i; // two bytes
        } else if (std::string_view("+-.,/%eExX()[] ").find(c) == std::string_view::npos) {
            return false;
        }
    }
    return digit;
}

std::string table_text(const std::vector<std::string>& names,
                       const std::vector<std::vector<std::string>>& table) {
    const auto escaped = [](std::vector<std::string> cells) {
        std::ranges::transform(cells, cells.begin(), terminal_text);
        return cells;
    };
    const std::vector<std::string> columns = escaped(names);
    std::vector<std::vector<std::string>> rows(table.size());
    std::ranges::transform(table, rows.begin(), escaped);
    std::vector<std::size_t> shown, width;
    std::vector<bool> numbers;
    for (std::size_t c = 0; c < columns.size(); ++c) {
        const bool empty = std::all_of(rows.begin(), rows.end(),
                                       [&](const auto& row) { return row[c] == undefined; });
        if (!empty) {
            shown.push_back(c);
            numbers.push_back(
                std::ranges::all_of(rows, [&](const auto& row) { return looks_numeric(row[c]); }));
            width.push_back(columns_of_text(columns[c]));
            for (const auto& row : rows) {
                width.back() = std::max(width.back(), columns_of_text(row[c]));
            }
        }
    }
    std::string text;
    const auto line = [&](const std::vector<std::string>& cells) {
        for (std::size_t i = 0; i < shown.size(); ++i) {
            const std::string& cell = cells[shown[i]];
            text += i == 0 ? "" : "  ";
            text += numbers[i] ? fmt::format("{:>{}}", cell, width[i])
                               : fmt::format("{:<{}}", cell, width[i]);
        }
        text.erase(text.find_last_not_of(' ') + 1);
        text += '\n';
    };
    line(columns);
    for (const auto& row : rows) {
        line(row);
    }
    return text;
}

} // namespace patchforge
