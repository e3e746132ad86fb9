#include "data/escape.h"
#include "data/pack.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace patchforge {

namespace {

constexpr std::size_t reasons_shown = 5;
constexpr std::size_t classes_shown = 12;

std::string parts_line(const PackReport& report) {
    std::vector<std::string> parts;
    for (const auto& [part, count] : report.parts) {
        parts.push_back(fmt::format("{} {}", part_name(part), count));
    }
    return fmt::format("  parts: {}; {} read (--part chooses)", fmt::join(parts, ", "),
                       report.part == Part::all ? "all of them" : part_name(report.part));
}

std::string classes_line(const PackReport& report) {
    std::vector<std::string> classes;
    for (const auto& [name, count] : report.classes) {
        if (classes.size() == classes_shown) {
            classes.push_back(fmt::format("… {} in all", report.classes.size()));
            break;
        }
        classes.push_back(fmt::format("{} {}", terminal_text(name), count));
    }
    return fmt::format("  classes: {}; patients: {}",
                       classes.empty() ? "none" : fmt::format("{}", fmt::join(classes, ", ")),
                       report.patients == 0 ? "unknown" : std::to_string(report.patients));
}

} // namespace

std::vector<std::string> report_lines(const PackReport& report) {
    std::vector<std::string> lines{
        fmt::format("{}: {} of {} patches, {} x {} x {}", terminal_text(report.file.string()),
                    report.packed, report.seen, report.channels, report.height, report.width),
        fmt::format("  layout: {}, because: {} (--layout decides otherwise)",
                    layout_name(report.layout), terminal_text(report.reason))};
    if (!report.parts.empty()) {
        lines.push_back(parts_line(report));
    }
    lines.push_back(classes_line(report));
    std::vector<std::pair<std::int64_t, std::string>> reasons;
    for (const auto& [reason, count] : report.reasons) {
        reasons.emplace_back(count, reason);
    }
    std::stable_sort(reasons.begin(), reasons.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    for (std::size_t i = 0; i < std::min(reasons_shown, reasons.size()); ++i) {
        lines.push_back(fmt::format("  {} left out: {}", reasons[i].first, reasons[i].second));
    }
    if (reasons.size() > reasons_shown) {
        std::int64_t rest = 0;
        for (std::size_t i = reasons_shown; i < reasons.size(); ++i) {
            rest += reasons[i].first;
        }
        lines.push_back(
            fmt::format("  {} left out for {} more reasons", rest, reasons.size() - reasons_shown));
    }
    for (const std::string& named : report.first_named) {
        lines.push_back("    " + terminal_text(named));
    }
    if (report.odd > 0 && report.packed + report.odd <= report.seen) {
        lines.emplace_back("  --odd-size resize (or pad) keeps those of another size");
    }
    if (!report.side_file.empty()) {
        lines.push_back(fmt::format("  all of them: {}", terminal_text(report.side_file.string())));
    }
    for (const auto& [name, count] : report.classes) {
        if (count == 0) {
            lines.push_back(fmt::format(
                "  warning: the class '{}' has no patches{}", terminal_text(name),
                report.part == Part::all ? "" : " in the part " + part_name(report.part)));
        }
    }
    return lines;
}

} // namespace patchforge
