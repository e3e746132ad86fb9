// --json: results for programs on standard output, all that is said to people on standard error.
#pragma once

#include <functional>

#include "host/cli/verb.h"
#include "host/files/json.h"

namespace patchforge {

// Gets the document of a result.
using Tell = std::function<void(const Json&)>;

// Sets what the verb runs and adds --json: with it, what is printed goes to standard error, and what
// `work` tells to what was standard output, indented. Throws std::runtime_error when that cannot
// be written to.
void answer_in_json(Verb& verb, std::function<void(const Tell&)> work);

} // namespace patchforge
