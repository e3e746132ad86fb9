#include "host/session/open_set.h"

#include <fmt/format.h>

#include <vector>

#include "data/escape.h"
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
        return set;
    }
    const std::vector<std::int64_t> counts = set.class_counts();
    for (std::size_t c = 0; c < counts.size(); ++c) {
        if (counts[c] == 0) {
            print_line(fmt::format("warning: {}: the class '{}' has no patches",
                                   terminal_text(set.path().string()),
                                   terminal_text(set.class_names()[c])));
        }
    }
    return set;
}

std::optional<PackedSet> open_set_if_given(const DataOptions& options, int threads) {
    return options.data.empty() ? std::nullopt : std::optional(open_set(options, threads));
}

std::string hash_of(const PackedSet& set) {
    return fmt::format("{:016x}", set.content_hash());
}

PackedSet open_all_parts(const std::string& data, DataOptions options, int threads) {
    options.data = data;
    options.pack.folder.part = Part::all;
    return open_set(options, threads);
}

void print_pack_report(const PackReport& report) {
    for (const std::string& line : report_lines(report)) {
        print_line(line);
    }
}

} // namespace patchforge
