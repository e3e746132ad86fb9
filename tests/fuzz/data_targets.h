#pragma once

#include "tests/fuzz/mutator.h"

namespace patchforge {

/// The readers of data/: pictures, arrays, tables of labels, names of files, packed sets.
std::vector<FuzzTarget> data_fuzz_targets();

} // namespace patchforge
