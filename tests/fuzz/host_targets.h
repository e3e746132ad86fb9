#pragma once

#include "tests/fuzz/mutator.h"

namespace patchforge {

/// The readers of host/: weights and checkpoints, params.json, networks as text, --config, sweeps and their figures,
/// metrics, studies, lists of output folders.
std::vector<FuzzTarget> host_fuzz_targets();

} // namespace patchforge
