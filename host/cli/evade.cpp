// patchforge evade: do generated fakes fool classifiers?
#include <memory>

#include "host/cli/json_output.h"
#include "host/cli/verbs.h"
#include "host/session/open_set.h"
#include "host/trial/evasion.h"

namespace patchforge {

Verb evade_verb() {
    struct EvadeCall {
        DataOptions data;
        EvasionJob job;
    };
    auto call = std::make_shared<EvadeCall>();
    Verb verb{.name = "evade", .summary = "ask classifiers about generated fakes"};
    describe_data(verb.options, call->data.usually(Part::test), DataNeed::optional);
    describe(verb.options, call->job);
    verb.examples = {"evade --generator runs/gan --models runs/classifier --data patches",
                     "evade --generator runs/gan --models runs/a,runs/b --search target=1 "
                     "--against runs/b --out evasion"};
    answer_in_json(verb, [call](const Tell& tell) {
        call->job.validate();
        Json document;
        call->job.listeners.document = &document;
        const auto set = open_set_if_given(call->data, call->job.device.backend.threads);
        run_evasion(set ? &*set : nullptr, call->job);
        tell(document);
    });
    return verb;
}

} // namespace patchforge
