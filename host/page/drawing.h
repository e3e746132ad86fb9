// What the charts have in common: their size, colours, words and the SVG around them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace patchforge::drawing {

// A drawing's own units. A page shows it `enlarged`, and on a phone as wide as the screen: narrow
// enough to be read there without scrolling.
constexpr double width = 480;
constexpr double enlarged = 1.2;
constexpr double right = 14;

// Four colours; then the same again, dashed, so that nobody has to tell eight colours apart.
std::string colour(std::size_t index);
const char* dashes(std::size_t index);

// `anchor` as in SVG: start, middle or end. The words are escaped.
std::string text(double x, double y, const char* anchor, const std::string& words,
                 const std::string& attributes = "");

// A line of colour before each name, in rows from y = 16 on; nothing for one series without a name.
// Returns the y below.
double add_legend(std::string& body, const std::vector<std::string>& names, double left);

// The whole element. Inside a page it takes the page's colours; `standalone`, it brings them along.
std::string svg(const std::string& title, const std::string& body, double height,
                bool standalone = false);

} // namespace patchforge::drawing
