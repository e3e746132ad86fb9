// Bars that lie on their side, as SVG text for a page: a few values of a few things, compared at a
// glance. Names stand above the bars, so that long ones fit on a phone.
#pragma once

#include <string>
#include <vector>

namespace patchforge {

struct Bars {
    std::string name;           // for the legend
    std::vector<double> values; // one a row, >= 0; NaN and infinity: a dash instead of a bar
};

struct BarChart {
    std::string title; // what a screen reader says; not drawn
    std::vector<std::string> rows;
    std::vector<Bars> series; // at most 4
    double full = 0;          // the longest bar's value; 0: the largest there is
    int digits = 2;           // behind the point
};

// Throws std::invalid_argument when a series has not one value a row, or there are more than four.
std::string bars_svg(const BarChart& chart);

} // namespace patchforge
