// patchforge train gan: a GAN on the patches of a folder or packed set.
#include <memory>

#include "host/cli/verbs.h"
#include "host/gan/gan_presets.h"
#include "host/gan/gan_run.h"
#include "host/options/data_options.h"
#include "host/run/progress.h"
#include "host/session/open_set.h"

namespace patchforge {

namespace {

struct TrainGanCall {
    DataOptions data;
    GanOptions gan;
    GanRunOptions run;
};

void run(const TrainGanCall& call) {
    call.gan.validate();
    const PackedSet set = open_set(call.data, call.run.run.device.backend.threads);
    const std::string out = call.run.run.out.string();
    print_line(run_gan_training(set, call.gan, call.run)
                   ? "Look at " + out + "/report.html and " + out + "/images/final.png"
                   : "Go on with the same command and --resume");
}

} // namespace

Verb train_gan_verb() {
    auto call = std::make_shared<TrainGanCall>();
    Verb verb{"train gan", "train a GAN"};
    describe_data(verb.options, call->data.usually(Part::train));
    describe(verb.options, call->gan);
    describe(verb.options, call->run);
    verb.options.only_one_of({"persistent", "overlap_launches"});
    verb.presets = gan_presets();
    verb.standard_preset = "default";
    verb.examples = {"train gan --data idc.pfs --preset idc --out runs/gan",
                     "train gan --data digits --loss wgan-gp --n-critic 5 --conditional --steps "
                     "4000 --out runs/digits",
                     "train gan --data idc.pfs --preset stack --out runs/stack"};
    verb.in_ranks = true;
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
