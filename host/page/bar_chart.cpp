#include "host/page/bar_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "host/page/drawing.h"
#include "host/page/figure_text.h"

namespace patchforge {

namespace {

constexpr double indent = 4;
constexpr double longest = 400; // the rest is for the value behind it
constexpr double bar = 11;
constexpr double bar_step = 15;

} // namespace

std::string bars_svg(const BarChart& chart) {
    if (chart.series.size() > 4) {
        throw std::invalid_argument(fmt::format("bars '{}': {} series are too many; give at most 4",
                                                chart.title, chart.series.size()));
    }
    double full = chart.full;
    std::vector<std::string> names;
    for (const Bars& bars : chart.series) {
        if (bars.values.size() != chart.rows.size()) {
            throw std::invalid_argument(
                fmt::format("bars '{}': '{}' has {} values for {} rows; give one each", chart.title,
                            bars.name, bars.values.size(), chart.rows.size()));
        }
        names.push_back(bars.name);
        for (const double value : bars.values) {
            full = chart.full == 0 && std::isfinite(value) ? std::max(full, value) : full;
        }
    }
    std::string body;
    double y = drawing::add_legend(body, names, indent);
    for (std::size_t row = 0; row < chart.rows.size(); ++row) {
        body += drawing::text(indent, y + 12, "start", chart.rows[row]);
        y += 18;
        for (std::size_t i = 0; i < chart.series.size(); ++i) {
            const double value = chart.series[i].values[row];
            const double length =
                std::isfinite(value) && full > 0 ? longest * std::clamp(value / full, 0.0, 1.0) : 0;
            body +=
                fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
                            "rx=\"2\" fill=\"{}\"/>",
                            indent, y, std::max(length, 1.0), bar, drawing::colour(i));
            body += drawing::text(indent + length + 6, y + bar - 0.5, "start",
                                  figure_text(value, chart.digits));
            y += bar_step;
        }
        y += 7;
    }
    return drawing::svg(chart.title, body, y);
}

} // namespace patchforge
