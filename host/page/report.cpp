#include "host/page/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <stdexcept>

#include "data/atomic_file.h"
#include "host/page/markup.h"
#include "host/page/page_style.h"
#include "host/run/version.h"

namespace patchforge {

namespace {

// What only reports need beside the page style. On the narrowest screens a chart is scrolled rather
// than shrunk until nobody can read it.
constexpr const char* report_style = R"css(
.chart { min-width: 20rem; }
figure > .scroll { margin-bottom: 0; }
.gallery { display: flex; flex-wrap: wrap; gap: 0 1.2rem; }
.gallery figure { margin: .6rem 0; }
.pairs th { font-weight: 400; color: var(--soft); vertical-align: top; }
td.word { white-space: nowrap; }
td:not([class]) { min-width: 9rem; }
.pairs td { min-width: 0; overflow-wrap: anywhere; }
.verdict { font-weight: 600; }
@media print {
  .gallery { display: block; } /* a heading stays with a block, not with a flexbox */
  .gallery figure { display: inline-block; vertical-align: top; margin-right: 1rem; }
}
)css";

// Text of a table's cell up to this length stays on one line.
constexpr std::size_t longest_word = 20;

// Stands for the number of a section until the page is put together: no escaped text holds it.
constexpr char section_mark = '\x01';

bool looks_numeric(const std::string& cell) {
    if (cell.empty() || cell == "-" || cell == "–" || cell == "nan" || cell == "inf") {
        return true;
    }
    bool digit = false;
    for (std::size_t i = 0; i < cell.size(); ++i) {
        const char c = cell[i];
        if (c >= '0' && c <= '9') {
            digit = true;
        } else if (cell.compare(i, 2, "±") == 0) {
            ++i; // two bytes
        } else if (std::string_view("+-.,/%eExX()[] ").find(c) == std::string_view::npos) {
            return false;
        }
    }
    return digit;
}

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

std::string base64(const std::vector<std::uint8_t>& bytes) {
    static constexpr char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            group = group << 8 | (k < count ? bytes[i + k] : 0U);
        }
        for (std::size_t k = 0; k < 4; ++k) {
            text += k <= count ? digits[group >> (18 - 6 * k) & 63] : '=';
        }
    }
    return text;
}

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

void Report::code(const std::string& text) {
    body_ += fmt::format("<pre><code>{}</code></pre>\n", escaped(text));
}

void Report::key_figures(const std::vector<std::pair<std::string, std::string>>& figures) {
    body_ += "<div class=\"facts\">";
    for (const auto& [value, what] : figures) {
        body_ += fmt::format("<div><b>{}</b><span>{}</span></div>", escaped(value), escaped(what));
    }
    body_ += "</div>\n";
}

void Report::facts(const std::vector<std::pair<std::string, std::string>>& pairs,
                   const std::string& summary) {
    if (!summary.empty()) {
        body_ += fmt::format("<details><summary>{}</summary>", escaped(summary));
    }
    body_ += "<div class=\"scroll\"><table class=\"pairs\"><tbody>";
    for (const auto& [name, value] : pairs) {
        body_ += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(name),
                             value.empty() ? "–" : escaped(value));
    }
    body_ += "</tbody></table></div>";
    body_ += summary.empty() ? "\n" : "</details>\n";
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
        if (rows.empty() || !every([](const std::string& cell) { return cell == "-"; })) {
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
    body_ += "<div class=\"scroll\"><table><thead><tr>";
    for (const std::size_t c : shown) {
        body_ += fmt::format("<th scope=\"col\"{}>{}</th>", marks[c], escaped(columns[c]));
    }
    body_ += "</tr></thead><tbody>\n";
    for (const auto& row : rows) {
        body_ += "<tr>";
        for (const std::size_t c : shown) {
            body_ += fmt::format("<td{}>{}</td>", marks[c], escaped(row[c]));
        }
        body_ += "</tr>\n";
    }
    body_ += "</tbody></table></div></figure>\n";
}

void Report::chart(const std::string& svg, const std::string& caption) {
    body_ += fmt::format("<figure><div class=\"scroll\">{}</div>", svg);
    if (!caption.empty()) {
        body_ += fmt::format("<figcaption>{}</figcaption>", escaped(caption));
    }
    body_ += "</figure>\n";
}

std::string Report::figure(const std::vector<std::uint8_t>& png, int width, int height,
                           const std::string& caption, int scale) {
    const std::string encoded = base64(png);
    if (picture_bytes_ + encoded.size() > picture_budget) {
        return fmt::format("<p class=\"note\">Left out to keep this page small: {}</p>\n",
                           escaped(caption));
    }
    picture_bytes_ += encoded.size();
    return fmt::format("<figure><img class=\"pixels\" alt=\"{0}\" width=\"{1}\" height=\"{2}\" "
                       "src=\"data:image/png;base64,{3}\"><figcaption>{0}</figcaption></figure>\n",
                       escaped(caption), width * scale, height * scale, encoded);
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

void Report::append(const Report& other) {
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
    page += fmt::format("<footer>{}, {}</footer>\n</main>\n</body>\n</html>\n",
                        escaped(version_text()), escaped(local_time()));
    return page;
}

void Report::write(const std::filesystem::path& path) const {
    write_file_atomically(path, std::string_view(html()));
}

} // namespace patchforge
