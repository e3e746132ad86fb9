// Networks that --network knows by name; docs/classifiers.md says what they were chosen for.
#pragma once

#include <string>
#include <vector>

#include "kernels/extent.h"

namespace patchforge {

// The names, for help and refusals.
std::vector<std::string> named_classifiers();

// The text of a classifier by its name; any other text is returned as it is. `in`: its pictures,
// `outputs`: its logits. std::invalid_argument where the pictures are too small for it.
std::string classifier_text(const std::string& name_or_text, Extent in, std::int64_t outputs);

} // namespace patchforge
