// patchforge attack: forges images that fool a classifier, and says how many.
#include <memory>

#include "host/cli/json_output.h"
#include "host/cli/verbs.h"
#include "host/session/open_set.h"
#include "host/trial/attack_job.h"

namespace patchforge {

Verb attack_verb() {
    struct AttackCall {
        DataOptions data;
        AttackJob job;
    };
    auto call = std::make_shared<AttackCall>();
    Verb verb{.name = "attack", .summary = "forge images that fool a classifier"};
    describe_data(verb.options, call->data.usually(Part::test));
    describe(verb.options, call->job);
    verb.examples = {"attack --model runs/classifier --data patches --method fgsm,pgd --out attack",
                     "attack --models runs/plain,runs/hardened --data patches --eps 4/255,8/255"};
    verb.shares_rows = true;
    answer_in_json(verb, [call](const Tell& tell) {
        call->job.validate();
        Json document;
        call->job.listeners.document = &document;
        run_attack_job(open_set(call->data, call->job.device.backend.threads), call->job);
        tell(document);
    });
    return verb;
}

} // namespace patchforge
