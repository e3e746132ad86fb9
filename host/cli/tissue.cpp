// patchforge tissue: a procedural stand-in for people without the real data set.
#include "data/tissue.h"

#include <fmt/format.h>

#include <memory>

#include "host/cli/verbs.h"
#include "host/options/device_options.h"
#include "host/run/progress.h"

namespace patchforge {

namespace {

struct TissueCall {
    std::string folder;
    TissueOptions tissue;
};

void run(const TissueCall& call) {
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

Verb tissue_verb() {
    auto call = std::make_shared<TissueCall>();
    Verb verb{.name = "tissue",
              .summary = "draw a stand-in data set: patches of tissue in two classes"};
    TissueOptions& tissue = call->tissue;
    Options& options = verb.options;
    options.argument("folder", call->folder, "to write; must not exist or be empty");
    options.number("patients", tissue.patients, {1, 9000}, "patients");
    options.number("patches", tissue.patches_per_patient, {1, 100000}, "patches of each patient");
    options.number("size", tissue.size, {8, 1024}, "pixels a side");
    options.number("seed", tissue.seed, any_seed, "the same seed draws the same files");
    describe_threads(options, tissue.threads);
    verb.examples = {"tissue tissue-patches",
                     "tissue small --patients 8 --patches 50 --size 28 --seed 7"};
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
