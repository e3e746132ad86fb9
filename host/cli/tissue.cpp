// patchforge tissue: a procedural stand-in for people without the real data set.
#include "data/tissue.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

#include "host/cli/options.h"
#include "host/cli/verbs.h"
#include "host/run/progress.h"

namespace patchforge {

namespace {

struct Call {
    std::string folder;
    TissueOptions tissue;
};

void run(const Call& call) {
    TissueReport report;
    {
        ProgressBar bar("drawing", 0, "patches");
        report = write_tissue_folder(
            call.folder, call.tissue,
            [&](std::int64_t done, std::int64_t total) { bar.update(done, total); });
    }
    print_line(fmt::format("{}: {} patches of {} x {} from {} patients, {} with cancer, seed {}",
                           call.folder, report.patches, call.tissue.size, call.tissue.size,
                           call.tissue.patients, report.cancer, call.tissue.seed));
}

} // namespace

void add_tissue(CLI::App& app) {
    auto call = std::make_shared<Call>();
    TissueOptions& tissue = call->tissue;
    CLI::App* verb =
        app.add_subcommand("tissue", "draw a stand-in data set: patches of tissue in two classes");
    add_text(*verb, "folder", call->folder, "to write; must not exist or be empty", "")->required();
    add_number(*verb, "--patients", tissue.patients, "patients", 1, 9000);
    add_number(*verb, "--patches", tissue.patches_per_patient, "patches of each patient", 1,
               100000);
    add_number(*verb, "--size", tissue.size, "pixels a side", 8, 1024);
    add_number(*verb, "--seed", tissue.seed, "the same seed draws the same files", std::uint64_t{0},
               ~std::uint64_t{0});
    add_threads_option(*verb, tissue.threads);
    verb->callback([call] { run(*call); });
}

} // namespace patchforge
