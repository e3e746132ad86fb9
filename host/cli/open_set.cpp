#include "host/cli/open_set.h"

#include "data/open_data_set.h"
#include "host/cli/packing.h"
#include "host/run/progress.h"

namespace patchforge {

PackedSet open_set(const DataOptions& options, int threads) {
    PackReport report;
    ProgressBar bar("packing", 0, "patches");
    PackedSet set = open_data_set(
        options.data, {.pack = pack_options(options, threads), .cache = {}},
        [&](std::int64_t done, std::int64_t total) { bar.update(done, total); }, &report);
    if (report.seen > 0) {
        print_pack_report(report);
    }
    return set;
}

} // namespace patchforge
