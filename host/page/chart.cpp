#include "host/page/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "data/atomic_file.h"
#include "host/page/drawing.h"

namespace patchforge {

namespace {

using drawing::colour;
using drawing::dashes;
using drawing::right;
using drawing::text;
using drawing::width;

constexpr double left = 62;
constexpr double plot_height = 220;
constexpr double below = 46; // tick texts and the name of the x axis
constexpr std::size_t points_drawn = 500;
constexpr std::size_t series_limit = 8;

struct Range {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();

    void take(double value) {
        low = std::min(low, value);
        high = std::max(high, value);
    }
    bool empty() const { return !(low <= high); }
};

// Values to positions along one axis.
struct Axis {
    Range range;
    double begin = 0;
    double end = 0; // positions of range.low and range.high

    double at(double value) const {
        return begin + (value - range.low) / (range.high - range.low) * (end - begin);
    }
    std::vector<double> ticks(int about) const { return axis_ticks(range.low, range.high, about); }

    // Room around the data: none needed along x; along y lines must not lie on the frame.
    void settle(bool with_margin) {
        if (range.low == range.high) {
            const double room = range.low == 0 ? 1 : std::abs(range.low) * 0.1;
            range = {range.low - room, range.high + room};
        } else if (with_margin) {
            const double room = (range.high - range.low) * 0.05;
            const bool from_zero = range.low >= 0 && range.low < room * 4;
            range = {from_zero ? 0 : range.low - room, range.high + room};
        }
    }
};

struct Drawing {
    std::string body;
    double height = 0;
};

void draw_axes(std::string& body, const Axis& x, const Axis& y, const Chart& chart) {
    for (const double tick : y.ticks(5)) {
        body += fmt::format("<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" "
                            "y2=\"{:.1f}\"/>",
                            x.begin, x.end, y.at(tick), y.at(tick));
        body += text(left - 8, y.at(tick) + 4, "end", tick_text(tick));
    }
    for (const double tick : x.ticks(6)) {
        body += fmt::format("<line class=\"axis\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" "
                            "y2=\"{:.1f}\"/>",
                            x.at(tick), x.at(tick), y.begin, y.begin + 4);
        // The outermost numbers must not stick out of the drawing.
        body += text(std::min(x.at(tick), width - 4), y.begin + 18,
                     x.at(tick) > width - 24 ? "end" : "middle", tick_text(tick));
    }
    body += fmt::format("<line class=\"axis\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" "
                        "y2=\"{:.1f}\"/>",
                        x.begin, x.end, y.begin, y.begin);
    body += text((x.begin + x.end) / 2, y.begin + 38, "middle", chart.x_label);
    const double middle = (y.begin + y.end) / 2;
    body += text(14, middle, "middle", chart.y_label,
                 fmt::format(" transform=\"rotate(-90 14 {:.1f})\"", middle));
}

void draw_series(std::string& body, const Series& series, std::size_t index, ChartKind kind,
                 const Axis& x, const Axis& y) {
    std::string path;
    std::string marks;
    bool pen_down = false;
    int stroke = 0; // points of the line that is being drawn
    double previous = 0, before = 0;
    const auto mark = [&](double across, double up) {
        marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>", across,
                             up, colour(index));
    };
    const auto end_stroke = [&] { // a point between gaps, or the only one, is no line
        if (stroke == 1 && kind != ChartKind::points) {
            mark(before, previous);
        }
        stroke = 0;
    };
    for (const std::size_t i : thinned(series.y, points_drawn)) {
        if (!std::isfinite(series.x[i]) || !std::isfinite(series.y[i])) {
            pen_down = false;
            end_stroke();
            continue;
        }
        const double across = x.at(series.x[i]);
        const double up = y.at(series.y[i]);
        if (pen_down && kind == ChartKind::step) {
            path += fmt::format("L{:.1f} {:.1f}", across, previous);
        }
        path += fmt::format("{}{:.1f} {:.1f}", pen_down ? 'L' : 'M', across, up);
        if (kind == ChartKind::points) {
            mark(across, up);
        }
        previous = up;
        before = across;
        pen_down = true;
        ++stroke;
    }
    end_stroke();
    body += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" "
                        "stroke-linejoin=\"round\" stroke-linecap=\"round\"{}/>{}",
                        path, colour(index), dashes(index), marks);
}

void draw_references(std::string& body, const Chart& chart, const Axis& x, const Axis& y) {
    for (const ReferenceLine& line : chart.references) {
        if (!std::isfinite(line.y)) {
            continue;
        }
        const double at = y.at(line.y);
        body += fmt::format("<line class=\"reference\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" "
                            "y2=\"{:.1f}\"/>",
                            x.begin, x.end, at, at);
        body += text(x.end - 4, at - 5, "end", line.label, " class=\"soft over\"");
    }
}

Drawing draw(const Chart& chart) {
    if (chart.series.size() > series_limit) {
        throw std::invalid_argument(
            fmt::format("chart '{}': {} series are too many; give at most {}", chart.title,
                        chart.series.size(), series_limit));
    }
    Axis x{{}, left, width - right};
    Axis y;
    for (const Series& series : chart.series) {
        if (series.x.size() != series.y.size()) {
            throw std::invalid_argument(
                fmt::format("chart '{}': the series '{}' has {} x and {} y; give as many of both",
                            chart.title, series.name, series.x.size(), series.y.size()));
        }
        for (std::size_t i = 0; i < series.x.size(); ++i) {
            if (std::isfinite(series.x[i]) && std::isfinite(series.y[i])) {
                x.range.take(series.x[i]);
                y.range.take(series.y[i]);
            }
        }
    }
    Drawing drawn;
    if (x.range.empty()) {
        drawn.height = 60;
        drawn.body = text(width / 2, 34, "middle", "no values to draw", " class=\"soft\"");
        return drawn;
    }
    for (const ReferenceLine& line : chart.references) {
        if (std::isfinite(line.y)) {
            y.range.take(line.y);
        }
    }
    x.settle(false);
    y.settle(true);
    std::vector<std::string> names;
    for (const Series& series : chart.series) {
        names.push_back(series.name);
    }
    y.end = drawing::add_legend(drawn.body, names, left);
    y.begin = y.end + plot_height;
    drawn.height = y.begin + below;
    draw_axes(drawn.body, x, y, chart);
    for (std::size_t i = 0; i < chart.series.size(); ++i) {
        draw_series(drawn.body, chart.series[i], i, chart.kind, x, y);
    }
    draw_references(drawn.body, chart, x, y);
    return drawn;
}

std::string svg(const Chart& chart, bool standalone) {
    const Drawing drawn = draw(chart);
    return drawing::svg(chart.title, drawn.body, drawn.height, standalone);
}

} // namespace

std::vector<double> axis_ticks(double low, double high, int about) {
    const double rough = (high - low) / std::max(1, about);
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    double step = 10 * power;
    for (const double digit : {1.0, 2.0, 5.0}) {
        if (digit * power >= rough * (1 - 1e-9)) {
            step = digit * power;
            break;
        }
    }
    std::vector<double> ticks;
    const double first = std::ceil(low / step - 1e-9);
    const auto count = static_cast<int>(std::floor(high / step + 1e-9) - first) + 1;
    for (int i = 0; i < count; ++i) {
        ticks.push_back((first + i) * step + 0.0); // + 0: no -0
    }
    return ticks;
}

std::string tick_text(double value) {
    const double size = std::abs(value);
    if (size >= 1e6 && size < 1e9) {
        return fmt::format("{:.4g}M", value / 1e6);
    }
    if (size >= 1e4 && size < 1e6) {
        return fmt::format("{:.4g}k", value / 1e3);
    }
    if (size == 0 || (size >= 1e-3 && size < 1e4)) {
        return fmt::format("{:.4g}", value);
    }
    const double exponent = std::floor(std::log10(size));
    return fmt::format("{:.3g}e{:.0f}", value / std::pow(10.0, exponent), exponent);
}

std::vector<std::size_t> thinned(const std::vector<double>& y, std::size_t at_most) {
    std::vector<std::size_t> kept;
    if (y.size() <= at_most || at_most < 4) {
        for (std::size_t i = 0; i < y.size(); ++i) {
            kept.push_back(i);
        }
        return kept;
    }
    // The inner points in stretches, of each the lowest and the highest in their order.
    const std::size_t stretches = (at_most - 2) / 2;
    const std::size_t inner = y.size() - 2;
    kept.push_back(0);
    for (std::size_t stretch = 0; stretch < stretches; ++stretch) {
        const std::size_t begin = 1 + stretch * inner / stretches;
        const std::size_t end = 1 + (stretch + 1) * inner / stretches;
        std::size_t lowest = begin;
        std::size_t highest = begin;
        for (std::size_t i = begin; i < end; ++i) {
            if (y[i] < y[lowest] || std::isnan(y[lowest])) {
                lowest = i;
            }
            if (y[i] > y[highest] || std::isnan(y[highest])) {
                highest = i;
            }
        }
        kept.push_back(std::min(lowest, highest));
        if (lowest != highest) {
            kept.push_back(std::max(lowest, highest));
        }
    }
    kept.push_back(y.size() - 1);
    return kept;
}

std::string chart_svg(const Chart& chart) {
    return svg(chart, false);
}

void write_chart(const std::filesystem::path& path, const Chart& chart) {
    write_file_atomically(path, std::string_view(svg(chart, true)));
}

std::string histogram_svg(const Histogram& histogram) {
    if (histogram.bins < 1 || histogram.bins > 200) {
        throw std::invalid_argument(
            fmt::format("histogram '{}': {} bins are not possible; give 1 to "
                        "200",
                        histogram.title, histogram.bins));
    }
    Range range{histogram.low, histogram.high};
    if (!(histogram.low < histogram.high)) {
        range = {};
        for (const Series& series : histogram.series) {
            for (const double value : series.y) {
                if (std::isfinite(value)) {
                    range.take(value);
                }
            }
        }
        if (range.low == range.high) {
            range = {range.low - 0.5, range.high + 0.5};
        }
    }
    Chart chart{histogram.title, histogram.x_label, histogram.y_label, ChartKind::step, {}, {}};
    const double bin_width = (range.high - range.low) / histogram.bins;
    for (const Series& series : histogram.series) {
        std::vector<double> shares(static_cast<std::size_t>(histogram.bins), 0.0);
        double total = 0;
        for (const double value : series.y) {
            if (std::isfinite(value)) {
                const double bin = std::floor((value - range.low) / bin_width);
                shares[std::clamp(bin, 0.0, histogram.bins - 1.0)] += 1;
                total += 1;
            }
        }
        Series outline{series.name, {}, {}};
        if (total > 0) {
            outline = {series.name, {range.low}, {0}}; // up from the axis and down to it again
            for (int bin = 0; bin < histogram.bins; ++bin) {
                outline.x.push_back(range.low + bin * bin_width);
                outline.y.push_back(shares[bin] / total);
            }
            outline.x.push_back(range.high);
            outline.y.push_back(outline.y.back());
            outline.x.push_back(range.high);
            outline.y.push_back(0);
        }
        chart.series.push_back(std::move(outline));
    }
    return chart_svg(chart);
}

} // namespace patchforge
