#include "host/cli/checkpoint_option.h"

#include "host/cli/options.h"

namespace patchforge {

void add_checkpoint_option(CLI::App& app, std::string& value) {
    add_choice(app, "--checkpoint", value, "of a run: its last, or the best by --eval-interval",
               {"latest", "best"});
}

} // namespace patchforge
