#include "host/sweep/sweep_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <sstream>

#include "host/files/json_file.h"
#include "host/page/figure_text.h"

namespace patchforge {

namespace {

using Row = std::map<std::string, std::string>;

std::vector<std::string> csv_cells(const std::string& line) {
    std::vector<std::string> cells(1);
    bool quoted = false;
    for (const char c : line) {
        if (c == '"') {
            quoted = !quoted;
        } else if (c == ',' && !quoted) {
            cells.emplace_back();
        } else if (c != '\r') {
            cells.back() += c;
        }
    }
    return cells;
}

// The values that hold no others, by their JSON pointers without the first slash.
void add_values(Row& row, const std::string& path, const Json& value) {
    const auto add = [&](std::string name, const Json& held) {
        for (std::size_t at = 0; (at = name.find_first_of("~/", at)) != std::string::npos; ++at) {
            name.replace(at, 1, name[at] == '~' ? "~0" : "~1");
        }
        add_values(row, path.empty() ? name : path + "/" + name, held);
    };
    if (value.empty()) {
        row[path] = value.is_string() ? value.string() : value.dump();
    } else if (value.is_object()) {
        for (const auto& [name, held] : value.members()) {
            add(name, held);
        }
    } else {
        for (std::size_t i = 0; i < value.size(); ++i) {
            add(std::to_string(i), value.items()[i]);
        }
    }
}

Row json_row(const Json& value) {
    Row row;
    add_values(row, "", value);
    return row;
}

std::vector<Row> read_rows(const std::filesystem::path& path) {
    std::vector<Row> rows;
    if (path.extension() == ".json") {
        rows.push_back(json_row(read_json(path)));
        return rows;
    }
    std::istringstream file(read_text(path));
    std::vector<std::string> columns;
    for (std::string line; std::getline(file, line);) {
        if (path.extension() == ".jsonl") {
            rows.push_back(json_row(parse_json(line, path.string())));
            continue;
        }
        const std::vector<std::string> cells = csv_cells(line);
        if (columns.empty()) {
            columns = cells;
            continue;
        }
        Row& row = rows.emplace_back();
        for (std::size_t i = 0; i < std::min(cells.size(), columns.size()); ++i) {
            row[columns[i]] = cells[i];
        }
    }
    return rows;
}

std::optional<double> number(const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return !text.empty() && *end == '\0' && std::isfinite(value) ? std::optional(value)
                                                                 : std::nullopt;
}

bool same(const std::string& a, const std::string& b) {
    const auto x = number(a);
    const auto y = number(b);
    return x && y ? std::abs(*x - *y) <= 1e-9 * std::abs(*y) : a == b;
}

bool counts(const Row& row, const Figure& figure) {
    return std::all_of(figure.where.begin(), figure.where.end(), [&](const auto& condition) {
        const auto found = row.find(condition.first);
        return condition.second ? found != row.end() && same(found->second, *condition.second)
                                : found == row.end();
    });
}

std::optional<double> number_in(const Row& row, const std::string& name) {
    const auto found = row.find(name);
    return found == row.end() ? std::nullopt : number(found->second);
}

// Three digits, and not more than four decimals.
std::string figure_text(double value, double scale) {
    const int decimals =
        scale == 0
            ? 0
            : std::clamp(2 - static_cast<int>(std::floor(std::log10(std::abs(scale)))), 0, 4);
    return fmt::format("{:.{}f}", value, decimals);
}

std::string cell(const std::vector<double>& values, const std::vector<double>& first_values) {
    const Spread spread = spread_of(values), first = spread_of(first_values);
    if (spread.count == 0) {
        return undefined;
    }
    std::string text = figure_text(spread.mean, spread.mean);
    if (spread.count > 1) {
        text += " ± " + figure_text(spread.deviation, spread.mean);
    }
    const std::int64_t outside = far_outside(values, first_values);
    return text + (differ(spread, first) ? " †" : "") +
           (outside > 0 ? fmt::format(" ‡{}", outside) : "");
}

// Of a row's cell; texts of networks have hundreds of letters.
constexpr std::size_t longest_options = 120;

std::string quoted(const std::string& text) {
    std::string plain = text;
    std::replace(plain.begin(), plain.end(), '"', '\'');
    std::replace(plain.begin(), plain.end(), '\n', ' ');
    return '"' + plain + '"';
}

} // namespace

std::optional<double> read_figure(const Figure& figure, const std::filesystem::path& folder) {
    const std::filesystem::path path = folder / figure.file;
    if (!std::filesystem::exists(path)) {
        return std::nullopt;
    }
    return reading_json(path.string(), [&] {
        std::optional<double> found, largest;
        for (const Row& row : read_rows(path)) {
            if (!counts(row, figure)) {
                continue;
            }
            if (figure.of_largest.empty()) {
                found = number_in(row, figure.value);
            } else if (const auto by = number_in(row, figure.of_largest);
                       by && (!largest || *by > *largest)) {
                largest = by;
                found = number_in(row, figure.value);
            }
        }
        return found;
    });
}

Spread spread_of(std::span<const double> values) {
    Spread spread;
    spread.count = static_cast<std::int64_t>(values.size());
    const auto count = static_cast<double>(values.size());
    for (const double value : values) {
        spread.mean += value / count;
    }
    for (const double value : values) {
        spread.deviation += (value - spread.mean) * (value - spread.mean);
    }
    spread.deviation = values.size() < 2 ? 0 : std::sqrt(spread.deviation / (count - 1));
    return spread;
}

bool differ(const Spread& a, const Spread& b) {
    if (a.count < 2 || b.count < 2) {
        return false;
    }
    const double error = std::sqrt(a.deviation * a.deviation / static_cast<double>(a.count) +
                                   b.deviation * b.deviation / static_cast<double>(b.count));
    return std::abs(a.mean - b.mean) > 2 * error;
}

std::int64_t far_outside(std::span<const double> values, std::span<const double> first) {
    if (first.size() < 2 || std::ranges::min(first) <= 0) {
        return 0;
    }
    const double low = std::ranges::min(first) / 3, high = 3 * std::ranges::max(first);
    return std::ranges::count_if(values, [&](double value) { return value < low || value > high; });
}

std::string sweep_csv(const Sweep& sweep, std::span<const SweepOutcome> outcomes) {
    std::string text = "variant,seed,state,seconds";
    for (const Figure& figure : sweep.figures) {
        text += ',' + quoted(figure.name);
    }
    text += '\n';
    for (const SweepOutcome& one : outcomes) {
        text += fmt::format("{},{},{},{:.3f}", quoted(one.run->variant), one.run->seed,
                            quoted(one.failure.empty() ? "finished" : one.failure), one.seconds);
        for (const auto& figure : one.figures) {
            text += figure ? fmt::format(",{:.9g}", *figure) : ",";
        }
        text += '\n';
    }
    return text;
}

std::string sweep_page(const Sweep& sweep, std::span<const SweepOutcome> outcomes,
                       const std::string& made_with) {
    std::string text =
        fmt::format("# {}\n\nWritten by `patchforge sweep` with {}.\n", sweep.title, made_with);
    text += "Mean ± standard deviation over n runs; †: the mean differs from the first row's by "
            "more than twice the standard\n"
            "error of the difference; ‡2: 2 of the runs are far outside of the first row's, above "
            "three times "
            "their largest or below a third of\n"
            "their smallest. n: runs that finished, and of how many where some failed or were not "
            "run yet.\n";
    text += sweep.about.empty() ? "" : sweep.about + '\n';
    text += "\n| run | options | n |";
    for (const Figure& figure : sweep.figures) {
        text += fmt::format(" {} |", figure.name);
    }
    text += "\n|---|---|--:|";
    for (std::size_t i = 0; i < sweep.figures.size(); ++i) {
        text += "--:|";
    }
    text += '\n';
    std::vector<std::vector<double>> first(sweep.figures.size());
    std::string below;
    for (std::size_t begin = 0, end = 0; begin < outcomes.size(); begin = end) {
        std::int64_t finished = 0;
        while (end < outcomes.size() &&
               outcomes[end].run->variant == outcomes[begin].run->variant) {
            finished += outcomes[end++].failure.empty();
        }
        const SweepRun& run = *outcomes[begin].run;
        const auto runs = static_cast<std::int64_t>(end - begin);
        std::string options = run.options.empty() ? "" : '`' + run.options + '`';
        if (options.size() > longest_options) {
            below += fmt::format("- {}: {}\n", run.variant, options);
            options = "below";
        }
        text += fmt::format("| {} | {} | {} |", run.variant, options,
                            finished == runs ? std::to_string(runs)
                                             : fmt::format("{} of {}", finished, runs));
        for (std::size_t i = 0; i < sweep.figures.size(); ++i) {
            std::vector<double> values;
            for (std::size_t j = begin; j < end; ++j) {
                if (outcomes[j].failure.empty() && outcomes[j].figures[i]) {
                    values.push_back(*outcomes[j].figures[i]);
                }
            }
            text += fmt::format(" {} |", cell(values, first[i]));
            if (begin == 0) {
                first[i] = values;
            }
        }
        text += '\n';
    }
    return text + (below.empty() ? "" : "\nOptions that are too long for the table:\n\n" + below);
}

} // namespace patchforge
