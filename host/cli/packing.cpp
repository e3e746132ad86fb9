#include "host/cli/packing.h"

#include <fmt/format.h>

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
    for (const auto& [reason, count] : report.reasons) {
        print_line(fmt::format("  {} left out: {}", count, reason));
    }
    for (const std::string& named : report.first_named) {
        print_line("    " + named);
    }
    if (!report.side_file.empty()) {
        print_line(fmt::format("  all of them: {}", report.side_file.string()));
    }
}

} // namespace patchforge
