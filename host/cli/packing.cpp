#include "host/cli/packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "host/run/progress.h"

namespace patchforge {

PackOptions pack_options(const DataOptions& options, int threads) {
    PackOptions result;
    result.channels = options.channels;
    result.odd_size = options.odd_size == "pad"      ? OddSize::pad
                      : options.odd_size == "resize" ? OddSize::resize
                                                     : OddSize::skip;
    result.strict = options.strict;
    result.part = options.part == "train"        ? Part::train
                  : options.part == "test"       ? Part::test
                  : options.part == "validation" ? Part::validation
                                                 : Part::all;
    result.threads = threads;
    return result;
}

void print_pack_report(const PackReport& report) {
    print_line(fmt::format("{}: {} of {} patches, {} x {} x {}, layout {}", report.file.string(),
                           report.packed, report.seen, report.channels, report.height, report.width,
                           layout_name(report.layout)));
    std::vector<std::pair<std::int64_t, std::string>> reasons;
    for (const auto& [reason, count] : report.reasons) {
        reasons.emplace_back(count, reason);
    }
    std::stable_sort(reasons.begin(), reasons.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    constexpr std::size_t shown = 5;
    for (std::size_t i = 0; i < std::min(shown, reasons.size()); ++i) {
        print_line(fmt::format("  {} left out: {}", reasons[i].first, reasons[i].second));
    }
    if (reasons.size() > shown) {
        std::int64_t rest = 0;
        for (std::size_t i = shown; i < reasons.size(); ++i) {
            rest += reasons[i].first;
        }
        print_line(fmt::format("  {} left out for {} more reasons", rest, reasons.size() - shown));
    }
    for (const std::string& named : report.first_named) {
        print_line("    " + named);
    }
    if (!report.side_file.empty()) {
        print_line(fmt::format("  all of them: {}", report.side_file.string()));
    }
}

} // namespace patchforge
