#include "host/cli/open_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "data/open_data_set.h"
#include "host/run/progress.h"

namespace patchforge {

PackedSet open_set(const DataOptions& options, int threads) {
    PackOptions pack = options.pack;
    pack.threads = threads;
    PackReport report;
    ProgressBar bar("packing", 0, "patches");
    PackedSet set = open_data_set(
        options.data, {.pack = pack, .cache = {}},
        [&](std::int64_t done, std::int64_t total) { bar.update(done, total); }, &report);
    if (report.seen > 0) {
        print_pack_report(report);
    }
    return set;
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
