// Bootstrap over whole patients, because patches of one patient are alike: a sample draws as many
// patients as there are, with replacement, and takes all patches of each.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "host/evaluate/binary_scores.h"
#include "host/numerics/philox_sequence.h"

namespace patchforge {

using RowGroups = std::vector<std::vector<std::int64_t>>;

// The rows 0 ... count - 1 of each patient, in the order of the patients' numbers; without patients every
// row by itself.
RowGroups rows_of_patients(std::span<const std::int32_t> patients, std::size_t count);

// The rows of one sample.
std::vector<std::int64_t> resampled_rows(const RowGroups& groups, PhiloxSequence& random);

// From the 2.5th to the 97.5th percentile of what the samples gave; without any all that is possible.
Interval percentile_interval(const std::vector<double>& values);

} // namespace patchforge
