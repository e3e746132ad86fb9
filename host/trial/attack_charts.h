// What the rows of an attack's table look like as curves.
#pragma once

#include <optional>
#include <vector>

#include "host/page/chart.h"
#include "host/trial/attack_table.h"

namespace patchforge {

// Robust accuracy against the budget: a line an attack with one, at most 8 of them. Nothing where
// no attack had a budget.
std::optional<Chart> robustness_curve(const std::vector<AttackSummary>& summaries,
                                      std::int64_t classes);

// Success rate against the mean L2 distance of the successes, for attacks without a budget: a
// point for each lambda. Nothing where none of them succeeded.
std::optional<Chart> distance_curve(const std::vector<AttackSummary>& summaries);

} // namespace patchforge
