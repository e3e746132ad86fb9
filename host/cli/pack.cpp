// patchforge pack: a folder of patches becomes one mapped file.
#include "data/pack.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>

#include "host/cli/verbs.h"
#include "host/options/data_options.h"
#include "host/options/device_options.h"
#include "host/run/progress.h"
#include "host/session/open_set.h"

namespace patchforge {

namespace {

struct PackCall {
    DataOptions data;
    std::string out;
    int size = 0;
};

void run(const PackCall& call) {
    const auto start = std::chrono::steady_clock::now();
    PackReport report;
    {
        ProgressBar bar("packing", 0, "patches");
        PackOptions options = call.data.pack;
        options.width = options.height = call.size;
        report =
            pack_folder(call.data.data, call.out, options,
                        [&](std::int64_t done, std::int64_t total) { bar.update(done, total); });
    }
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    print_pack_report(report);
    print_line(fmt::format("in {:.1f} s, {:.0f} patches/s", seconds,
                           static_cast<double>(report.seen) / seconds));
}

} // namespace

Verb pack_verb() {
    auto call = std::make_shared<PackCall>();
    Verb verb{.name = "pack", .summary = "put a folder of patches into one file"};
    Options& options = verb.options;
    options.argument("folder", call->data.data, "patches in any layout (see docs/formats.md)");
    options.text("out", call->out, "FILE", "file to write, e.g. set.pfs").must_be_given();
    describe_reading(options, call->data.pack);
    options.number("size", call->size, {0, 4096},
                   "pixels a side of the set; 0: the most common size");
    describe_threads(options, call->data.pack.threads);
    verb.examples = {"pack patches --out set.pfs",
                     "pack digits --out digits.pfs --channels 1 --part train --odd-size resize "
                     "--size 28"};
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
