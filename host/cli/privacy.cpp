// patchforge privacy: what a released GAN gives away of those that it was trained on.
#include <memory>
#include <optional>

#include "host/cli/json_output.h"
#include "host/cli/verbs.h"
#include "host/privacy/privacy_job.h"
#include "host/session/open_set.h"

namespace patchforge {

Verb privacy_verb() {
    struct PrivacyCall {
        DataOptions data;
        PrivacyJob job;
    };
    auto call = std::make_shared<PrivacyCall>();
    Verb verb{.name = "privacy",
              .summary = "measure what a released GAN gives away of those that it was trained on"};
    describe_data(verb.options, call->data);
    describe(verb.options, call->job);
    verb.examples = {"privacy --run runs/gan --data patches",
                     "privacy --run runs/gan --data patches --features runs/classifier --json"};
    verb.shares_rows = true;
    answer_in_json(verb, [call](const Tell& tell) {
        const int threads = call->job.device.backend.threads;
        const PackedSet set = open_set(call->data, threads);
        std::optional<PackedSet> generated;
        if (!call->job.generated.empty()) {
            generated = open_all_parts(call->job.generated, call->data, threads);
        }
        tell(run_privacy(set, generated ? &*generated : nullptr, call->job).json());
    });
    return verb;
}

} // namespace patchforge
