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
    DeviceOptions device;
};

void describe(Options& options, RunOptions& run);

} // namespace patchforge
