// --json: results for programs on standard output, all that is said to people on standard error.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "host/cli/verb.h"

namespace patchforge {

// Gets the document of a result, as text.
using Tell = std::function<void(const std::string&)>;

// Sets what the verb runs and adds --json: with it, what is printed goes to standard error, and what
// `work` tells to what was standard output, with a line end. Throws std::runtime_error when that cannot
// be written to.
void answer_in_json(Verb& verb, std::function<void(const Tell&)> work);

// Indented; bytes that are not UTF-8 are replaced.
std::string json_text(const nlohmann::ordered_json& document);

} // namespace patchforge
