// patchforge pack: a folder of patches becomes one mapped file.
#include "data/pack.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <memory>

#include "host/cli/options.h"
#include "host/cli/packing.h"
#include "host/cli/verbs.h"
#include "host/run/progress.h"

namespace patchforge {

namespace {

struct Call {
    DataOptions data;
    std::string out;
    int size = 0;
    int threads = 0;
};

void run(const Call& call) {
    const auto start = std::chrono::steady_clock::now();
    PackReport report;
    {
        ProgressBar bar("packing", 0, "patches");
        PackOptions options = pack_options(call.data, call.threads);
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

void add_pack(CLI::App& app) {
    auto call = std::make_shared<Call>();
    CLI::App* verb = app.add_subcommand("pack", "put a folder of patches into one file");
    add_text(*verb, "folder", call->data.data, "patches in any layout (see docs/formats.md)", "")
        ->required();
    add_text(*verb, "--out", call->out, "file to write, e.g. set.pfs (required)", "FILE")
        ->required();
    add_reading_options(*verb, call->data);
    add_number(*verb, "--size", call->size, "pixels a side of the set (0: the most common size)", 0,
               4096)
        ->group("Data");
    add_threads_option(*verb, call->threads);
    verb->callback([call] { run(*call); });
}

} // namespace patchforge
