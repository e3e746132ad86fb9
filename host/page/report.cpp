#include "host/page/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <stdexcept>

#include "data/atomic_file.h"
#include "host/page/base64.h"
#include "host/page/figure_text.h"
#include "host/page/image_grid.h"
#include "host/page/markup.h"
#include "host/page/page_style.h"
#include "host/page/text_table.h"
#include "host/run/version.h"

namespace patchforge {

namespace {

// Text of a table's cell up to this length stays on one line.
constexpr std::size_t longest_word = 20;

// On a phone a table with more columns than fit becomes cards, unless that makes too many lines.
constexpr std::size_t columns_of_a_phone = 4;
constexpr std::size_t most_card_lines = 120;

// Stands for the number of a section until the page is put together: no escaped text holds it.
constexpr char section_mark = '\x01';

std::string local_time() {
    const std::time_t now = std::time(nullptr);
    std::tm parts = {};
    char text[64] = {};
    if (!localtime_r(&now, &parts) ||
        std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts) == 0) {
        return "";
    }
    return text;
}

} // namespace

Report::Report(std::string title, std::string summary)
    : title_(std::move(title)), summary_(std::move(summary)) {}

void Report::section(const std::string& heading) {
    sections_.push_back(heading);
    body_ += fmt::format("<h2 id=\"{}\">{}</h2>\n", section_mark, escaped(heading));
}

void Report::subsection(const std::string& heading) {
    body_ += fmt::format("<h3>{}</h3>\n", escaped(heading));
}

void Report::paragraph(const std::string& text) {
    body_ += fmt::format("<p>{}</p>\n", escaped(text));
}

void Report::note(const std::string& text) {
    body_ += fmt::format("<p class=\"note\">{}</p>\n", escaped(text));
}

void Report::verdict(const std::string& text, bool good) {
    body_ += fmt::format("<p class=\"verdict {}\">{} {}</p>\n", good ? "good" : "bad",
                         good ? "✓" : "✗", escaped(text));
}

void Report::key_figures(const std::vector<std::pair<std::string, std::string>>& figures) {
    body_ += "<div class=\"facts\">";
    for (const auto& [value, what] : figures) {
        body_ += fmt::format("<div><b>{}</b><span>{}</span></div>", escaped(value), escaped(what));
    }
    body_ += "</div>\n";
}

void Report::lead(const std::string& text, Tone tone) {
    if (!text.empty()) {
        leads_.emplace_back(text, tone);
    }
}

void Report::settings(const std::string& of,
                      const std::vector<std::pair<std::string, std::string>>& pairs) {
    settings_.push_back({of, pairs});
}

std::string Report::settings_html() const {
    std::string html;
    for (const Settings& settings : settings_) {
        html += fmt::format("<details><summary>{}</summary><div class=\"scroll\"><table "
                            "class=\"pairs\"><tbody>",
                            escaped(settings.of));
        for (const auto& [name, value] : settings.pairs) {
            html += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(name),
                                value.empty() ? undefined : escaped(value));
        }
        html += "</tbody></table></div></details>\n";
    }
    return html;
}

void Report::table(const std::string& caption, const std::vector<std::string>& columns,
                   const std::vector<std::vector<std::string>>& rows) {
    for (const auto& row : rows) {
        if (row.size() != columns.size()) {
            throw std::invalid_argument(
                fmt::format("table '{}': a row has {} cells for {} columns; give one each", caption,
                            row.size(), columns.size()));
        }
    }
    std::vector<std::size_t> shown;
    std::vector<std::string> marks(columns.size());
    for (std::size_t c = 0; c < columns.size(); ++c) {
        const auto every = [&](auto holds) {
            return std::ranges::all_of(rows, [&](const auto& row) { return holds(row[c]); });
        };
        if (rows.empty() ||
            !every([](const std::string& cell) { return cell == "-" || cell == undefined; })) {
            shown.push_back(c);
        }
        if (every(looks_numeric)) {
            marks[c] = " class=\"number\"";
        } else if (every([](const std::string& cell) { return cell.size() <= longest_word; })) {
            marks[c] = " class=\"word\"";
        }
    }
    body_ += "<figure>";
    if (!caption.empty()) {
        body_ += fmt::format("<figcaption>{}</figcaption>", escaped(caption));
    }
    const bool cards =
        shown.size() > columns_of_a_phone && shown.size() * rows.size() <= most_card_lines;
    body_ += fmt::format("<div class=\"scroll\" tabindex=\"0\"><table class=\"{}\"><thead><tr>",
                         cards ? "cards" : "wide");
    for (const std::size_t c : shown) {
        body_ += fmt::format("<th scope=\"col\"{}>{}</th>", marks[c], escaped(columns[c]));
    }
    body_ += "</tr></thead><tbody>\n";
    for (const auto& row : rows) {
        body_ += "<tr>";
        for (const std::size_t c : shown) {
            body_ += fmt::format("<td{}{}>{}</td>", marks[c],
                                 cards ? fmt::format(" data-name=\"{}\"", escaped(columns[c])) : "",
                                 escaped(row[c]));
        }
        body_ += "</tr>\n";
    }
    body_ += "</tbody></table></div></figure>\n";
}

void Report::chart(const std::string& svg, const std::string& caption) {
    body_ += fmt::format("<figure class=\"plot\">{}", svg);
    if (!caption.empty()) {
        body_ += fmt::format("<figcaption>{}</figcaption>", escaped(caption));
    }
    body_ += "</figure>\n";
}

std::string Report::picture(const std::vector<std::uint8_t>& png, int width, int height,
                            const std::string& what, int scale) {
    const std::string encoded = base64(png);
    if (picture_bytes_ + encoded.size() > picture_budget) {
        return "";
    }
    picture_bytes_ += encoded.size();
    return fmt::format("<img class=\"pixels\" alt=\"{}\" width=\"{}\" height=\"{}\" "
                       "src=\"data:image/png;base64,{}\">",
                       escaped(what), width * scale, height * scale, encoded);
}

std::string Report::figure(const std::vector<std::uint8_t>& png, int width, int height,
                           const std::string& caption, int scale) {
    const std::string shown = picture(png, width, height, caption, scale);
    return shown.empty()
               ? fmt::format("<p class=\"note\">Left out to keep this page small: {}</p>\n",
                             escaped(caption))
               : fmt::format("<figure>{}<figcaption>{}</figcaption></figure>\n", shown,
                             escaped(caption));
}

void Report::image(const Image& picture, const std::string& caption, int scale) {
    png(encode_png(picture), picture.width, picture.height, caption, scale);
}

void Report::png(const std::vector<std::uint8_t>& bytes, int width, int height,
                 const std::string& caption, int scale) {
    body_ += figure(bytes, width, height, caption, scale);
}

void Report::gallery(const std::vector<std::pair<Image, std::string>>& pictures, int scale) {
    body_ += "<div class=\"gallery\">\n";
    for (const auto& [picture, caption] : pictures) {
        body_ += figure(encode_png(picture), picture.width, picture.height, caption, scale);
    }
    body_ += "</div>\n";
}

void Report::strip(const std::vector<std::pair<Image, std::string>>& pictures) {
    body_ += "<div class=\"strip\">\n";
    for (const auto& [one, caption] : pictures) {
        body_ += figure(encode_png(one), one.width, one.height, caption, 1);
    }
    body_ += "</div>\n";
}

void Report::sheet(const PictureSheet& sheet, const std::string& caption) {
    std::size_t columns = sheet.column_names.size();
    for (const auto& row : sheet.rows) {
        columns = std::max(columns, row.size());
    }
    body_ += fmt::format("<figure class=\"sheet{}\"><figcaption>{}</figcaption><table{}>",
                         sheet.column_names.empty() ? "" : " plot", escaped(caption),
                         sheet.column_names.empty()
                             ? ""
                             : fmt::format(" class=\"named\" style=\"--columns: {}\"", columns));
    if (!sheet.column_names.empty()) {
        body_ += "<thead><tr><td></td>";
        for (const std::string& name : sheet.column_names) {
            body_ += fmt::format("<th scope=\"col\">{}</th>", escaped(name));
        }
        body_ += "</tr></thead>";
    }
    body_ += "<tbody>\n";
    for (std::size_t r = 0; r < sheet.rows.size(); ++r) {
        const std::string name = r < sheet.row_names.size() ? sheet.row_names[r] : "";
        body_ += fmt::format("<tr><th scope=\"row\">{}</th>", escaped(name));
        for (std::size_t c = 0; c < sheet.rows[r].size(); ++c) {
            const Image& one = sheet.rows[r][c];
            const std::string what =
                c < sheet.column_names.size() ? name + ", " + sheet.column_names[c] : name;
            body_ += fmt::format(
                "<td>{}</td>", picture(encode_png(one), one.width, one.height, what, sheet.scale));
        }
        body_ += "</tr>\n";
    }
    body_ += "</tbody></table></figure>\n";
}

void Report::append(const Report& other) {
    leads_.insert(leads_.end(), other.leads_.begin(), other.leads_.end());
    settings_.insert(settings_.end(), other.settings_.begin(), other.settings_.end());
    sections_.insert(sections_.end(), other.sections_.begin(), other.sections_.end());
    body_ += other.body_;
    picture_bytes_ += other.picture_bytes_;
}

std::string Report::html() const {
    std::string page = fmt::format(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<title>{0}</title>\n<style>{1}{2}</style>\n</head>\n<body>\n<main>\n<h1>{0}</h1>\n",
        escaped(title_), page_style, report_style);
    if (!summary_.empty()) {
        page += fmt::format("<p>{}</p>\n", escaped(summary_));
    }
    for (const auto& [text, tone] : leads_) {
        page += fmt::format("<p class=\"lead{}\">{}</p>\n",
                            tone == Tone::good  ? " good"
                            : tone == Tone::bad ? " bad"
                                                : "",
                            escaped(text));
    }
    if (sections_.size() > 1) {
        page += "<nav aria-label=\"Sections\">";
        for (std::size_t i = 0; i < sections_.size(); ++i) {
            page += fmt::format("<a href=\"#section-{}\">{}</a>", i + 1, escaped(sections_[i]));
        }
        page += "</nav>\n";
    }
    std::size_t section = 0;
    for (const char c : body_) {
        if (c == section_mark) {
            page += fmt::format("section-{}", ++section);
        } else {
            page += c;
        }
    }
    if (!settings_.empty()) {
        page += "<h2>How this was made</h2>\n" + settings_html();
    }
    page += fmt::format("<footer>{}, {}</footer>\n</main>\n</body>\n</html>\n",
                        escaped(version_text()), escaped(local_time()));
    return page;
}

void Report::write(const std::filesystem::path& path) const {
    write_file_atomically(path, std::string_view(html()));
}

} // namespace patchforge
