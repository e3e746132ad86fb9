// The one training loop.
#pragma once

#include "host/train/family.h"
#include "host/train/run_options.h"
#include "host/train/run_record.h"

namespace patchforge {

// Trains until the end, until the family has finished, or until interrupted; either way the run
// folder is complete then. Returns false when interrupted. Throws std::runtime_error when a metric,
// a weight or a gradient is not finite, naming the step and the last good checkpoint; what
// RunFolder's create and resume throw, too.
// Every rank of `sharding` calls it, with a family of its own, and has the same answer; rank 0 alone logs
// and writes. A family that cannot cut its batches gives none, and --shards and ranks are refused.
bool train(Family& family, const RunOptions& options, RunRecord record,
           const Sharding& sharding = {});

} // namespace patchforge
