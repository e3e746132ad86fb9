// How a training runs, whatever is trained.
#pragma once

#include <filesystem>

#include "host/options/device_options.h"
#include "host/train/batches.h"

namespace patchforge {

struct RunOptions {
    std::filesystem::path out;
    bool resume = false;
    int keep = 3; // checkpoints
    Placement placement = Placement::automatic;
    std::int64_t shards = 0;   // of each batch; 0: one a rank
    double rank_timeout = 300; // seconds
    DeviceOptions device;
};

void describe(Options& options, RunOptions& run);

// The same on every rank of the job. A run that goes on is cut as it was where nothing else is said. Throws
// std::invalid_argument when there are more ranks than shards.
Sharding sharding_of(const RunOptions& run);

} // namespace patchforge
