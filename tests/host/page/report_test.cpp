#include "host/files/safetensors.h"
#include "host/page/bar_chart.h"
#include "host/page/base64.h"
#include "host/page/kept_sheet.h"
#include "host/page/report.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "host/page/chart.h"
#include "host/page/image_grid.h"
#include "host/page/markup.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

std::size_t count_of(const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++count;
    }
    return count;
}

const std::string evil = "<script>alert(\"1\" & '2')</script>";

TEST(Markup, EscapesWhatMarkupMeans) {
    EXPECT_EQ(escaped(evil), "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;");
    EXPECT_EQ(escaped("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"),
              "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    // Lone bytes, overlong forms, surrogates, control characters.
    for (const char* broken : {"\xFF", "\x80", "\x01", "\x7F"}) {
        EXPECT_EQ(escaped(broken), "\xEF\xBF\xBD");
    }
    EXPECT_EQ(count_of(escaped("\xC0\xAF"), "\xEF\xBF\xBD"), 2u);
    EXPECT_EQ(count_of(escaped("\xED\xA0\x80"), "\xEF\xBF\xBD"), 3u);
    EXPECT_EQ(escaped("\xE2\x82"), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Chart, TicksAreRoundAndInside) {
    EXPECT_EQ(axis_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
    EXPECT_EQ(axis_ticks(-1, 1, 4), (std::vector<double>{-1, -0.5, 0, 0.5, 1}));
    EXPECT_EQ(axis_ticks(3, 1040, 5).front(), 500);
    EXPECT_EQ(tick_text(0), "0");
    EXPECT_EQ(tick_text(25000), "25k");
    EXPECT_EQ(tick_text(2.5e6), "2.5M");
    EXPECT_EQ(tick_text(0.00012), "1.2e-4");
    EXPECT_EQ(tick_text(3e10), "3e10");
    EXPECT_EQ(tick_text(-0.25), "-0.25");
}

TEST(Chart, ThinningKeepsEndsAndPeaks) {
    std::vector<double> y(100'000);
    for (std::size_t i = 0; i < y.size(); ++i) {
        y[i] = std::sin(static_cast<double>(i) * 1e-3);
    }
    y[54'321] = 99;
    y[77'777] = -99;
    const auto kept = thinned(y, 500);
    EXPECT_LE(kept.size(), 500u);
    EXPECT_GT(kept.size(), 400u);
    EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end()));
    EXPECT_EQ(std::adjacent_find(kept.begin(), kept.end()), kept.end());
    EXPECT_EQ(kept.front(), 0u);
    EXPECT_EQ(kept.back(), y.size() - 1);
    EXPECT_TRUE(std::binary_search(kept.begin(), kept.end(), 54'321u));
    EXPECT_TRUE(std::binary_search(kept.begin(), kept.end(), 77'777u));
    EXPECT_EQ(thinned(std::vector<double>(500), 500).size(), 500u);
}

TEST(Chart, DrawsEverySeriesAndEscapesWords) {
    Chart chart{evil, evil, evil, ChartKind::points, {}, {{0.5, evil}}};
    chart.series = {{"a" + evil, {0, 1, 2, 3}, {1, std::nan(""), 2, 3}}, {"b", {0, 3}, {0, 1}}};
    const std::string svg = chart_svg(chart);
    EXPECT_EQ(svg.find("<script"), std::string::npos);
    EXPECT_EQ(count_of(svg, "<path "), 2u);
    EXPECT_EQ(count_of(svg, "<circle "), 5u); // NaN has no mark
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_NE(svg.find("<title>"), std::string::npos);
    EXPECT_EQ(count_of(svg, "class=\"reference\""), 1u);
    // The NaN breaks the line: the pen is put down twice in the first path.
    const std::size_t first = svg.find("<path d=\"") + 9;
    EXPECT_EQ(count_of(svg.substr(first, svg.find('"', first) - first), "M"), 2u);
}

TEST(Chart, StandsExtremes) {
    for (const std::vector<double>& y : {std::vector<double>{},
                                         {0},
                                         {5, 5, 5},
                                         {-1, -2},
                                         {1e-300, 1e300},
                                         {1e15, 1e15 + 1},
                                         {INFINITY, 1, -INFINITY}}) {
        Chart chart{"t", "x", "y", ChartKind::step, {}, {}};
        Series series{"s", {}, y};
        for (std::size_t i = 0; i < y.size(); ++i) {
            series.x.push_back(static_cast<double>(i));
        }
        chart.series = {series};
        const std::string svg = chart_svg(chart);
        EXPECT_EQ(svg.find("inf"), std::string::npos) << svg;
        EXPECT_EQ(svg.find("nan"), std::string::npos) << svg;
        EXPECT_EQ(svg.rfind("</svg>"), svg.size() - 6);
    }
    EXPECT_THROW(chart_svg({"t", "x", "y", ChartKind::line, {{"s", {1}, {}}}, {}}),
                 std::invalid_argument);
    EXPECT_THROW(chart_svg({"t", "x", "y", ChartKind::line, std::vector<Series>(9), {}}),
                 std::invalid_argument);
}

TEST(Chart, HistogramCountsShares) {
    Histogram histogram;
    histogram.bins = 2;
    histogram.high = 1;
    histogram.series = {{"a", {}, {0.1, 0.2, 0.3, 0.9, 1.0, 5.0, -5.0, std::nan("")}}};
    // 4 of 7 in the lower half, 3 in the upper; 5 and -5 count at the edges, NaN nowhere. A step
    // chart's path: from the axis up to the first share, along, to the second, and down again.
    const std::string svg = histogram_svg(histogram);
    const std::size_t first = svg.find("<path d=\"M") + 10;
    std::vector<double> heights;
    std::istringstream path(svg.substr(first, svg.find('"', first) - first));
    for (std::string point; std::getline(path, point, 'L');) {
        heights.push_back(std::stod(point.substr(point.find(' '))));
    }
    const double axis = heights.front();
    EXPECT_EQ(heights.back(), axis);
    const double highest = axis - *std::min_element(heights.begin(), heights.end());
    const double second = axis - heights[heights.size() - 2];
    EXPECT_NEAR(second / highest, 3.0 / 4, 0.002);
    histogram.bins = 0;
    EXPECT_THROW(histogram_svg(histogram), std::invalid_argument);
}

TEST(Report, Base64HasThePublishedValues) { // RFC 4648, section 10
    const std::pair<std::string, std::string> cases[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, encoded] : cases) {
        EXPECT_EQ(base64(std::vector<std::uint8_t>(plain.begin(), plain.end())), encoded);
    }
    EXPECT_EQ(base64(std::vector<std::uint8_t>{0xFB, 0xFF, 0xFE}), "+//+");
}

TEST(Report, EscapesEverythingAndFetchesNothing) {
    Report report(evil, evil);
    report.section(evil);
    report.subsection(evil);
    report.paragraph(evil);
    report.note(evil);
    report.verdict(evil, true);
    report.key_figures({{evil, evil}});
    report.settings(evil, {{evil, evil}});
    report.lead(evil, Tone::bad);
    report.sheet({{{{1, 1, 1, {5}}}}, {evil}, {evil}, 2}, evil);
    report.table(evil, {evil, "n"}, {{evil, "1"}});
    report.chart(chart_svg({evil, evil, evil, ChartKind::line, {}, {}}), evil);
    report.image({1, 1, 1, {5}}, evil, 3);
    report.gallery({{{1, 1, 1, {5}}, evil}});
    const std::string page = report.html();
    EXPECT_EQ(page.find("<script"), std::string::npos);
    EXPECT_EQ(page.find("alert(\""), std::string::npos);
    for (const char* fetched : {"src=\"http", "href=\"http", "@import", "url("}) {
        EXPECT_EQ(page.find(fetched), std::string::npos) << fetched;
    }
    EXPECT_EQ(count_of(page, "src=\"data:image/png;base64,"), 3u);
    EXPECT_NE(page.find("width=\"3\" height=\"3\""), std::string::npos);
    for (const char* tag : {"table", "div", "figure", "details", "main", "nav", "p"}) {
        EXPECT_EQ(count_of(page, std::string("<") + tag + ">") +
                      count_of(page, std::string("<") + tag + " "),
                  count_of(page, std::string("</") + tag + ">"))
            << tag;
    }
}

TEST(Report, NumbersStandRight) {
    Report report("t");
    report.table("", {"attack", "rate", "mixed"},
                 {{"FGSM", "12.5 %", "1"}, {"PGD", "0.82 ± 0.01", "none"}, {"-", "-", "-"}});
    const std::string page = report.html();
    EXPECT_NE(page.find("<th scope=\"col\" class=\"number\">rate</th>"), std::string::npos);
    EXPECT_NE(page.find("<th scope=\"col\" class=\"word\">attack</th>"), std::string::npos);
    EXPECT_NE(page.find("<th scope=\"col\" class=\"word\">mixed</th>"), std::string::npos);
    EXPECT_THROW(report.table("", {"a"}, {{"1", "2"}}), std::invalid_argument);
}

TEST(Report, TablesFitTheirColumns) {
    Report report("t");
    report.table("a caption", {"long", "target", "rate"},
                 {{"towards the least likely class", "-", "-"}, {"x", "-", "1"}});
    const std::string page = report.html();
    EXPECT_NE(page.find("<figcaption>a caption</figcaption><div class=\"scroll\" "),
              std::string::npos);
    EXPECT_NE(page.find("<th scope=\"col\">long</th><th scope=\"col\" class=\"number\">rate</th>"),
              std::string::npos);
    EXPECT_EQ(page.find("target"), std::string::npos) << "a column that says nothing";
    Report facts("t");
    facts.settings("x", {{"test", ""}});
    EXPECT_NE(facts.html().find("<td>–</td>"), std::string::npos);
}

// What came out stands first and the settings, folded, last, whatever the order of the calls.
TEST(Report, LeadsFirstSettingsLast) {
    Report part("part");
    part.settings("settings of the part", {{"a", "1"}});
    part.section("second");
    part.lead("the part went badly", Tone::bad);
    Report page("whole", "what it is");
    page.settings("settings of the whole", {{"b", "2"}});
    page.section("first");
    page.paragraph("between");
    page.lead("the whole went well", Tone::good);
    page.append(part);
    const std::string html = page.html();
    std::size_t at = html.find("<body>");
    for (const char* part_of_page :
         {"<h1>whole", "what it is", "<p class=\"lead good\">the whole went well",
          "<p class=\"lead bad\">the part went badly", "<nav", ">first</h2>", "between",
          ">second</h2>", ">How this was made</h2>",
          "<details><summary>settings of the whole</summary>",
          "<details><summary>settings of the part</summary>", "<footer>"}) {
        const std::size_t found = html.find(part_of_page, at);
        ASSERT_NE(found, std::string::npos) << part_of_page << " behind " << html.substr(at, 40);
        at = found;
    }
}

// Wide tables of a few rows become cards on a phone, in which every value needs its column's name;
// long ones are scrolled.
TEST(Report, WideTablesAreCardsOrScroll) {
    const std::vector<std::string> columns = {"attack", "b", "c", "d", "e"};
    const std::vector<std::string> row = {"FGSM", "1", "2", "3", "4"};
    Report few("t");
    few.table("", columns, {row});
    EXPECT_EQ(count_of(few.html(), "<table class=\"cards\">"), 1u);
    for (const std::string& name : columns) {
        EXPECT_EQ(count_of(few.html(), " data-name=\"" + name + "\">"), 1u) << name;
    }
    Report many("t");
    many.table("", columns, std::vector(100, row));
    EXPECT_EQ(count_of(many.html(), "<div class=\"scroll\" tabindex=\"0\"><table class=\"wide\">"),
              1u);
    EXPECT_EQ(count_of(many.html(), " data-name="), 0u);
}

TEST(Report, NamesOfSheetsAreText) {
    Report report("t");
    report.sheet({{{{1, 1, 1, {5}}, {1, 1, 1, {6}}}, {{1, 1, 1, {7}}}},
                  {"left", "right"},
                  {"upper", "lower"},
                  4},
                 "a sheet");
    const std::string page = report.html();
    for (const char* part :
         {"<th scope=\"col\">left</th>", "<th scope=\"col\">right</th>",
          "<th scope=\"row\">upper</th>", "<th scope=\"row\">lower</th>",
          "alt=\"upper, left\" width=\"4\" height=\"4\"", "alt=\"lower, left\""}) {
        EXPECT_EQ(count_of(page, part), 1u) << part;
    }
    EXPECT_EQ(count_of(page, "<img "), 3u);
}

TEST(Report, BarsAreAsLongAsTheirValues) {
    BarChart chart{"t", {"one", "two", "none"}, {{"a", {1, 0.25, std::nan("")}}}, 2, 2};
    const std::string svg = bars_svg(chart);
    std::vector<double> lengths;
    for (std::size_t at = 0; (at = svg.find("<rect ", at)) != std::string::npos; ++at) {
        lengths.push_back(std::stod(svg.substr(svg.find("width=\"", at) + 7)));
    }
    ASSERT_EQ(lengths.size(), 3u);
    EXPECT_NEAR(lengths[0], 4 * lengths[1], 0.2);
    EXPECT_LE(lengths[2], 1);
    for (const char* text : {">one<", ">1.00<", ">0.25<", ">–<"}) {
        EXPECT_EQ(count_of(svg, text), 1u) << text;
    }
    chart.full = 0; // the longest is as long as can be
    EXPECT_NE(bars_svg(chart).find(fmt::format("width=\"{:.1f}\"", 2 * lengths[0])),
              std::string::npos);
    chart.series[0].values.pop_back();
    EXPECT_THROW(bars_svg(chart), std::invalid_argument);
    chart.rows.clear();
    chart.series.assign(5, {"a", {}});
    EXPECT_THROW(bars_svg(chart), std::invalid_argument);
}

// Of one epoch, or between two gaps, there is no line to draw.
TEST(Report, APointAloneIsMarked) {
    const double gap = std::nan("");
    Chart chart{.title = "t", .x_label = "x", .y_label = "y", .series = {}, .references = {}};
    chart.series = {{"a", {1}, {2}}};
    EXPECT_EQ(count_of(chart_svg(chart), "<circle "), 1u);
    chart.series = {{"a", {1, 2, 3, 4, 5, 6, 7}, {2, 3, gap, 4, gap, gap, 5}}};
    EXPECT_EQ(count_of(chart_svg(chart), "<circle "), 2u);
    chart.kind = ChartKind::points;
    EXPECT_EQ(count_of(chart_svg(chart), "<circle "), 4u);
}

TEST(Report, SheetsThatARunKeepsComeBack) {
    const TemporaryFolder run;
    const Image grey{2, 1, 1, {5, 6}}, coloured{1, 2, 3, {1, 2, 3, 4, 5, 6}};
    const PictureSheet sheet{
        {{grey, grey}, {coloured}}, {"left\n", "right"}, {"upper", "lower \xff"}, 3};
    keep_sheet(kept_sheet_file(run.path(), "b"), sheet, "second");
    keep_sheet(kept_sheet_file(run.path(), "a"), {{{coloured}}, {}, {}, 1}, "first");
    Report kept("t"), direct("t");
    add_kept_sheets(kept, run.path());
    direct.sheet({{{coloured}}, {}, {}, 1}, "first");
    direct.sheet({sheet.rows, sheet.column_names, {"upper", "lower \\xFF"}, 3}, "second");
    const auto body = [](const Report& report) { // without the time
        const std::string page = report.html();
        return page.substr(0, page.find("<footer>"));
    };
    EXPECT_EQ(body(kept), body(direct));
    EXPECT_THROW(keep_sheet(run / "x", {{{}}, {}, {}, 1}, ""), std::invalid_argument);
    const float number = 1;
    write_safetensors(kept_sheet_file(run.path(), "c"), {make_f32("row.0", {1}, &number)});
    EXPECT_THROW(add_kept_sheets(kept, run.path()), std::runtime_error);
    add_kept_sheets(kept, run / "no run"); // nothing
}

TEST(Report, StaysUnderFiveMegabytes) {
    Report report("t");
    const std::vector<std::uint8_t> large(1'000'000);
    for (int i = 0; i < 6; ++i) {
        report.png(large, 10, 10, "picture " + std::to_string(i));
    }
    const TemporaryFolder folder;
    report.write(folder / "report.html");
    const std::string page = contents(folder / "report.html");
    EXPECT_LT(page.size(), 5'000'000u);
    EXPECT_EQ(count_of(page, "<img "), 3u);
    EXPECT_NE(page.find("picture 5"), std::string::npos);
}

} // namespace
} // namespace patchforge
