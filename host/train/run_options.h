// How a training runs, whatever is trained.
#pragma once

#include <filesystem>

#include "host/options/device_options.h"
#include "host/train/batches.h"
#include "host/train/family.h"

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

// What a run of iterations does every so many of them; 0: at the end alone.
struct RunIntervals {
    std::int64_t log = 200;
    std::int64_t sample = 1000;
    std::int64_t checkpoint = 2000;

    TrainingSchedule schedule(std::int64_t evaluate = 0) const;
};

// `sampled`: what a sample is, e.g. "a grid of fakes".
void describe(Options& options, RunIntervals& intervals, const std::string& sampled);

// The same on every rank of the job. A run that goes on is cut as it was where nothing else is said. Throws
// std::invalid_argument when there are more ranks than shards.
Sharding sharding_of(const RunOptions& run);

} // namespace patchforge
