#include "data/labels_file.h"

#include "data/part.h"
#include "data/read_bytes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <stdexcept>

namespace patchforge {

namespace {

constexpr std::uint64_t max_file_bytes = std::uint64_t{1} << 28;

struct Line {
    std::int64_t number = 0;
    std::vector<std::string> fields;
};

/// Quoted fields may hold separators, line breaks and, doubled, quotes.
std::vector<Line> lines_of(std::string_view text, char separator) {
    std::vector<Line> lines;
    std::int64_t number = 1;
    Line line{number, {""}};
    bool quoted = false;
    const auto end_line = [&] {
        if (line.fields.size() > 1 || !line.fields[0].empty()) {
            lines.push_back(std::move(line));
        }
        line = {number, {""}};
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char letter = text[i];
        number += letter == '\n';
        if (quoted) {
            if (letter != '"') {
                line.fields.back() += letter;
            } else if (i + 1 < text.size() && text[i + 1] == '"') {
                line.fields.back() += text[++i];
            } else {
                quoted = false;
            }
        } else if (letter == '"' && line.fields.back().empty()) {
            quoted = true;
        } else if (letter == separator) {
            line.fields.emplace_back();
        } else if (letter == '\n') {
            end_line();
        } else if (letter != '\r') {
            line.fields.back() += letter;
        }
    }
    end_line();
    for (Line& one : lines) {
        for (std::string& field : one.fields) {
            field.erase(0, field.find_first_not_of(' '));
            field.erase(field.find_last_not_of(' ') + 1);
        }
    }
    return lines;
}

char separator_of(std::string_view text) {
    const std::string_view first = text.substr(0, text.find('\n'));
    char best = ',';
    for (const char candidate : {';', '\t'}) {
        if (std::count(first.begin(), first.end(), candidate) >
            std::count(first.begin(), first.end(), best)) {
            best = candidate;
        }
    }
    return best;
}

constexpr std::array<std::string_view, 14> picture_columns = {
    "file",    "filename", "path",    "filepath", "name",  "image", "images",
    "imageid", "imgid",    "imgname", "picture",  "patch", "img",   "id"};
constexpr std::array<std::string_view, 9> label_columns = {
    "label", "labels", "class", "classname", "target", "diagnosis", "dx", "category", "y"};
constexpr std::array<std::string_view, 9> patient_columns = {
    "patient", "patientid", "case", "caseid", "subject", "subjectid", "slide", "slideid", "wsi"};

/// The first of `wanted`, in their order, that is a column; -1 where none is.
int column_of(const std::vector<std::string>& header, auto& wanted) {
    for (const std::string_view name : wanted) {
        for (std::size_t c = 0; c < header.size(); ++c) {
            std::string column;
            for (const std::string& word : words_of(header[c])) {
                column += word;
            }
            if (column == name) {
                return static_cast<int>(c);
            }
        }
    }
    return -1;
}

std::string without_ending(const std::string& path) {
    const std::size_t dot = path.rfind('.');
    const std::size_t slash = path.rfind('/');
    const bool ends = dot != std::string::npos && (slash == std::string::npos || dot > slash + 1);
    return ends ? path.substr(0, dot) : path;
}

} // namespace

LabelsFile::LabelsFile(const std::filesystem::path& path) : name_(path.string()) {
    const std::vector<std::uint8_t> bytes = read_bytes(path, max_file_bytes);
    read({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

LabelsFile::LabelsFile(std::string_view text, const std::string& name) : name_(name) {
    read(text);
}

void LabelsFile::read(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) { // a byte order mark, as spreadsheets write it
        text.remove_prefix(3);
    }
    if (text.find('\0') != std::string_view::npos) {
        throw std::runtime_error(
            fmt::format("{}: not a table of text; save it as CSV in UTF-8", name_));
    }
    std::vector<Line> lines = lines_of(text, separator_of(text));
    int picture = 0;
    int label = 1;
    int patient = -1;
    if (!lines.empty() && column_of(lines[0].fields, label_columns) >= 0) {
        const std::vector<std::string>& header = lines[0].fields;
        label = column_of(header, label_columns);
        picture = column_of(header, picture_columns);
        patient = column_of(header, patient_columns);
        if (picture < 0) {
            throw std::runtime_error(
                fmt::format("{}: none of its columns ({}) names the pictures; call it 'file'",
                            name_, fmt::join(header, ", ")));
        }
        lines.erase(lines.begin());
    } else if (!lines.empty() && lines[0].fields.size() > 2) {
        if (column_of(lines[0].fields, picture_columns) >=
            0) { // as where a class has a column each
            throw std::runtime_error(
                fmt::format("{}: none of its columns ({}) names the classes; call it 'label'",
                            name_, fmt::join(lines[0].fields, ", ")));
        }
        patient = 2;
    }
    knows_patients_ = patient >= 0;
    for (const Line& line : lines) {
        const auto field = [&](int column) {
            return column >= 0 && column < std::ssize(line.fields) ? line.fields[column] : "";
        };
        Row row{field(picture), field(label), field(patient)};
        if (row.picture.empty() || row.label.empty()) {
            throw std::runtime_error(fmt::format(
                "{}, line {}: needs a picture and its class, separated as in the first line", name_,
                line.number));
        }
        if (row.picture.starts_with("./")) {
            row.picture.erase(0, 2);
        }
        const auto [place, added] = row_of_.emplace(row.picture, rows_.size());
        if (!added) {
            const Row& before = rows_[place->second];
            if (before.label != row.label || before.patient != row.patient) {
                throw std::runtime_error(fmt::format(
                    "{}, line {}: names {} a second time, and otherwise; leave one line", name_,
                    line.number, row.picture));
            }
            continue;
        }
        rows_.push_back(std::move(row));
    }
    if (rows_.empty()) {
        throw std::runtime_error(
            fmt::format("{}: holds no labels; give lines of picture and class", name_));
    }
    used_by_.resize(rows_.size());
}

const LabelsFile::Row* LabelsFile::find(const std::string& picture) {
    for (const std::string& whole : {picture, without_ending(picture)}) {
        for (std::size_t start = 0; start != std::string::npos;) {
            const auto found = row_of_.find(std::string_view(whole).substr(start));
            if (found != row_of_.end()) {
                std::string& user = used_by_[found->second];
                if (!user.empty() && user != picture) {
                    throw std::runtime_error(fmt::format(
                        "{}: '{}' may be {} or {}; write paths from the folder on instead of names",
                        name_, found->first, user, picture));
                }
                user = picture;
                return &rows_[found->second];
            }
            const std::size_t slash = whole.find('/', start);
            start = slash == std::string::npos ? slash : slash + 1;
        }
    }
    return nullptr;
}

std::vector<std::string> LabelsFile::unused() const {
    std::vector<std::string> pictures;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
        if (used_by_[i].empty()) {
            pictures.push_back(rows_[i].picture);
        }
    }
    return pictures;
}

std::vector<std::string> in_class_order(const std::vector<std::string>& names) {
    const std::set<std::string> distinct(names.begin(), names.end());
    std::vector<std::pair<std::int64_t, std::string>> numbered;
    for (const std::string& name : distinct) {
        std::int64_t number = 0;
        const char* last = name.data() + name.size();
        const auto [end, error] = std::from_chars(name.data(), last, number);
        if (error != std::errc{} || end != last) {
            return {distinct.begin(), distinct.end()};
        }
        numbered.emplace_back(number, name);
    }
    std::sort(numbered.begin(), numbered.end());
    std::vector<std::string> ordered;
    for (auto& [number, name] : numbered) {
        ordered.push_back(std::move(name));
    }
    return ordered;
}

} // namespace patchforge
