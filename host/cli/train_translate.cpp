// patchforge train translate: pictures from pictures.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "host/cli/verbs.h"
#include "host/options/data_options.h"
#include "host/run/progress.h"
#include "host/session/open_set.h"
#include "host/translate/translate_family.h"

namespace patchforge {

namespace {

struct TrainTranslateCall {
    DataOptions data;
    TranslateOptions translate;
    TranslateRunOptions run;
};

void run(const TrainTranslateCall& call) {
    call.translate.validate();
    const int threads = call.run.run.device.backend.threads;
    const PackedSet set = open_set(call.data, threads);
    std::optional<PackedSet> target;
    if (!call.translate.target.empty()) {
        DataOptions options = call.data;
        options.data = call.translate.target;
        target = open_set(options, threads);
    }
    const std::string out = call.run.run.out.string();
    print_line(run_translate_training({&set, target ? &*target : nullptr}, call.translate, call.run)
                   ? fmt::format("Look at {}/report.html", out)
                   : "Go on with the same command and --resume");
}

} // namespace

Verb train_translate_verb() {
    auto call = std::make_shared<TrainTranslateCall>();
    Verb verb{"train translate", "train networks that make pictures of pictures"};
    describe_data(verb.options, call->data.usually(Part::train));
    describe(verb.options, call->translate);
    describe(verb.options, call->run);
    verb.presets = translate_presets();
    verb.standard_preset = "super-resolution";
    verb.examples = {"train translate --data idc.pfs --mode super-resolution --out runs/sr",
                     "train translate --data idc.pfs --preset edges --steps 4000 --out runs/edges"};
    verb.in_ranks = true;
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
