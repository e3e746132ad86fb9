// An IterationPlan for people and for programs, beside the time that its bytes, operations and
// launches must take at the least, and what that leaves out.
#pragma once

#include <string>

#include "host/plan/left_out.h"

namespace patchforge {

// A table of at most 120 columns and what follows from it.
std::string plan_text(const IterationPlan& plan, const PlannedDevice& device);

// The same as one JSON object; what was not counted is null. Bytes, operations and seconds.
std::string plan_json(const IterationPlan& plan, const PlannedDevice& device);

} // namespace patchforge
