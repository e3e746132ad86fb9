#include "host/page/drawing.h"

#include <fmt/format.h>

#include "host/page/figure_text.h"
#include "host/page/markup.h"

namespace patchforge::drawing {

namespace {

constexpr const char* style =
    "<style>.chart text{font:13px system-ui,sans-serif;fill:var(--ink)}"
    ".chart text.soft{fill:var(--soft)}"
    ".chart .over{paint-order:stroke;stroke:var(--paper);stroke-width:4px}"
    ".chart .grid{stroke:var(--line);stroke-width:1}.chart .axis{stroke:var(--soft)}"
    ".chart .reference{stroke:var(--soft);stroke-dasharray:4 4}</style>";

// The page's variables, for a drawing that stands alone.
constexpr const char* standalone_style =
    "<style>:root{--ink:#1d232b;--soft:#5a6572;--line:#d5d9d6;--paper:#fbfbf9;--series-1:#1f6fa8;"
    "--series-2:#c0601b;--series-3:#2f8050;--series-4:#8a4a9e}"
    "@media (prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9da8b4;--line:#38414b;"
    "--paper:#15191e;--series-1:#6db3e8;--series-2:#ec9c5b;--series-3:#72c792;"
    "--series-4:#c996da}}</style><rect width=\"100%\" height=\"100%\" fill=\"var(--paper)\"/>";

} // namespace

std::string colour(std::size_t index) {
    return fmt::format("var(--series-{})", index % 4 + 1);
}

const char* dashes(std::size_t index) {
    return index < 4 ? "" : " stroke-dasharray=\"5 3\"";
}

std::string text(double x, double y, const char* anchor, const std::string& words,
                 const std::string& attributes) {
    return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>", x, y,
                       anchor, attributes, escaped(words));
}

double add_legend(std::string& body, const std::vector<std::string>& names, double left) {
    double y = 16;
    if (names.size() < 2 && (names.empty() || names[0].empty())) {
        return y;
    }
    double x = left;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const double needed = 26 + 6.9 * static_cast<double>(columns_of_text(names[i])) + 16;
        if (x + needed > width - right && x > left) {
            x = left;
            y += 20;
        }
        body += fmt::format("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" "
                            "stroke=\"{}\" stroke-width=\"2.5\"{}/>",
                            x, x + 20, y - 4, y - 4, colour(i), dashes(i));
        body += text(x + 26, y, "start", names[i]);
        x += needed;
    }
    return y + 14;
}

std::string svg(const std::string& title, const std::string& body, double height, bool standalone) {
    return fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" "
                       "viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{6:.0f}\" height=\"{7:.0f}\" "
                       "aria-label=\"{2}\"><title>{2}</title>{3}{4}{5}</svg>",
                       width, height, escaped(title), standalone ? standalone_style : "", style,
                       body, width * enlarged, height * enlarged);
}

} // namespace patchforge::drawing
