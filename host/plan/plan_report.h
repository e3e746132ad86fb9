// An IterationPlan for people and for programs, beside the time that its bytes, operations and
// launches must take at the least.
#pragma once

#include <string>

#include "host/plan/iteration_plan.h"

namespace patchforge {

// The device that floors are worked out for.
struct PlannedDevice {
    double bytes_per_second = 3.0e12;
    double operations_per_second = 60e12; // float32
    double seconds_per_node = 1.2e-6;     // of a graph whose nodes depend on each other
};

// A table of at most 120 columns and what follows from it.
std::string plan_text(const IterationPlan& plan, const PlannedDevice& device);

// The same as one JSON object; what was not counted is null. Bytes, operations and seconds.
std::string plan_json(const IterationPlan& plan, const PlannedDevice& device);

} // namespace patchforge
