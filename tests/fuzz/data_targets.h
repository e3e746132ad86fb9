#pragma once

#include "tests/fuzz/mutator.h"

namespace patchforge {

/// The readers of data/: PNG, IDX and packed sets.
std::vector<FuzzTarget> data_fuzz_targets();

} // namespace patchforge
