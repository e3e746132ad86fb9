#include "host/train/run_options.h"

namespace patchforge {

void describe(Options& options, RunOptions& run) {
    options.group("Run");
    options.path("out", run.out, "FOLDER", "folder of the run, e.g. runs/gan")
        .must_be_given()
        .unrecorded();
    options.toggle("resume", run.resume, "go on with the run in --out from its last checkpoint")
        .unrecorded();
    options.number("keep", run.keep, {1, 1000000}, "checkpoints kept").changeable();
    options
        .choice<Placement>("placement", run.placement,
                           {{"auto", Placement::automatic},
                            {"resident", Placement::resident},
                            {"streamed", Placement::streamed}},
                           "where the patches lie in training; auto: on the device if they fit")
        .unrecorded();
    describe(options, run.device);
}

} // namespace patchforge
