// patchforge privacy: what a released GAN gives away of those that it was trained on.
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "host/cli/json_output.h"
#include "host/cli/open_set.h"
#include "host/cli/verbs.h"
#include "host/privacy/privacy_job.h"
#include "host/ranks/job.h"
#include "host/ranks/shared_rows.h"

namespace patchforge {

Verb privacy_verb() {
    struct Call {
        DataOptions data;
        PrivacyJob job;
        JsonOutput json;
    };
    auto call = std::make_shared<Call>();
    Verb verb{.name = "privacy",
              .summary = "measure what a released GAN gives away of those that it was trained on"};
    describe_data(verb.options, call->data);
    describe(verb.options, call->job);
    call->json.describe(verb.options);
    verb.examples = {"privacy --run runs/gan --data patches",
                     "privacy --run runs/gan --data patches --features runs/classifier --json"};
    verb.in_ranks = true;
    verb.run = [call] {
        const SharedRows shared(job_ranks());
        call->json.begin();
        const int threads = call->job.device.backend.threads;
        const PackedSet set = open_set(call->data, threads);
        std::optional<PackedSet> generated;
        if (!call->job.generated.empty()) {
            generated = open_all_parts(call->job.generated, call->data, threads);
        }
        const Privacy privacy = run_privacy(set, generated ? &*generated : nullptr, call->job);
        if (SharedRows::writes()) {
            call->json.write(json_text(privacy.json()));
        }
    };
    return verb;
}

} // namespace patchforge
