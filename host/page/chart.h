// Charts as SVG text: inline in a page they take its colours, light or dark; as a file of their own
// they bring the same ones along.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace patchforge {

struct Series {
    std::string name; // for the legend
    std::vector<double> x;
    std::vector<double> y; // as many as x; NaN and infinity leave a gap
};

struct ReferenceLine {
    double y = 0;
    std::string label;
};

enum class ChartKind {
    line,  // points joined
    step,  // each value holds until the next x
    points // joined too, and each marked: for a dozen values or fewer
};

struct Chart {
    std::string title; // what a screen reader says, and the file's caption; not drawn
    std::string x_label;
    std::string y_label;
    ChartKind kind = ChartKind::line;
    std::vector<Series> series; // at most 8
    std::vector<ReferenceLine> references{};
};

// Long series are thinned to about 500 points that keep the highest and lowest of each stretch.
// Throws std::invalid_argument when a series' x and y differ in length or there are too many.
// A chart without any finite point says so instead of axes.
std::string chart_svg(const Chart& chart);

// The same with a drawing's colours and a white or dark ground, as a file that appears whole.
void write_chart(const std::filesystem::path& path, const Chart& chart);

struct Histogram {
    std::string title;
    std::string x_label;
    std::string y_label = "share";
    std::vector<Series> series; // `y` holds the values to be counted; `x` stays empty
    int bins = 40;              // 1 to 200
    double low = 0, high = 0;   // equal: taken from the data; values outside go to the edge bins
};
// Outlines of shares that sum to 1 for each series.
std::string histogram_svg(const Histogram& histogram);

// A few round positions that cover [low, high]; steps of 1, 2 or 5 times a power of ten.
std::vector<double> axis_ticks(double low, double high, int about);

// 0.00012 -> 1.2e-4, 25000 -> 25k, 0.5 -> 0.5: at most 4 significant digits.
std::string tick_text(double value);

// Indices of the points to keep, ascending; first and last are always among them.
std::vector<std::size_t> thinned(const std::vector<double>& y, std::size_t at_most);

} // namespace patchforge
