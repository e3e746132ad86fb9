// --checkpoint of the verbs that take a GAN's run.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace patchforge {

// `value` holds the default; checkpoint_from_name reads it.
void add_checkpoint_option(CLI::App& app, std::string& value);

} // namespace patchforge
