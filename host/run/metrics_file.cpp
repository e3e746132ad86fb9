// metrics.csv of a run, read.
#include "host/run/run_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "data/read_bytes.h"

namespace patchforge {

namespace {

constexpr std::uint64_t max_bytes = std::uint64_t{1} << 32;

} // namespace

std::vector<double> Metrics::column(std::string_view name) const {
    const auto place = std::find(columns.begin(), columns.end(), name);
    if (place == columns.end()) {
        throw std::runtime_error(fmt::format("metrics: there is no column '{}'; there are: {}",
                                             name, fmt::join(columns, ", ")));
    }
    const auto index = static_cast<std::size_t>(place - columns.begin());
    std::vector<double> values;
    for (const auto& row : rows) {
        values.push_back(row[index]);
    }
    return values;
}

Metrics read_metrics(const std::filesystem::path& csv) {
    const std::vector<std::uint8_t> bytes = read_bytes(csv, max_bytes);
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    Metrics metrics;
    int line_number = 0;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        ++line_number;
        std::vector<double> row;
        for (bool more = true; more;) {
            const std::size_t comma = line.find(',');
            const std::string cell(line.substr(0, comma));
            more = comma != std::string_view::npos;
            line.remove_prefix(more ? comma + 1 : line.size());
            if (line_number == 1) {
                metrics.columns.push_back(cell);
                continue;
            }
            char* stopped = nullptr;
            row.push_back(std::strtod(cell.c_str(), &stopped));
            if (cell.empty() || *stopped != '\0') {
                throw std::runtime_error(
                    fmt::format("{}: line {}: '{}' is not a number; restore the "
                                "file",
                                csv.string(), line_number, cell));
            }
        }
        if (line_number > 1) {
            if (row.size() != metrics.columns.size()) {
                throw std::runtime_error(
                    fmt::format("{}: line {}: {} values for {} columns; restore "
                                "the file",
                                csv.string(), line_number, row.size(), metrics.columns.size()));
            }
            metrics.rows.push_back(std::move(row));
        }
    }
    return metrics;
}

} // namespace patchforge
