// patchforge project: the nearest picture that a generator can make.
#include <memory>

#include "host/cli/verbs.h"
#include "host/project/projection.h"
#include "host/session/open_set.h"

namespace patchforge {

Verb project_verb() {
    struct ProjectCall {
        DataOptions data;
        ProjectionJob job;
    };
    auto call = std::make_shared<ProjectCall>();
    Verb verb{.name = "project", .summary = "find the nearest picture that a generator can make"};
    describe_data(verb.options, call->data.usually(Part::test), DataNeed::optional);
    describe(verb.options, call->job);
    verb.examples = {"project scribble.png --run runs/gan --out projected",
                     "project patch.png --run runs/gan --mask keep.png --data patches --count 16 "
                     "--features runs/classifier --out projected"};
    verb.run = [call] {
        const auto set = open_set_if_given(call->data, call->job.device.backend.threads);
        run_projection(set ? &*set : nullptr, call->job);
    };
    return verb;
}

} // namespace patchforge
