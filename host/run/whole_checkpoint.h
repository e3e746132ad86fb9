// Which checkpoint of a run can be used: damage to the newest one must not cost the run.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "host/run/run_folder.h"

namespace patchforge {

// What is wrong with its files: one that cannot be read, one that its checksum contradicts, a step that is not the
// folder's. Empty when nothing is.
std::string fault_of(const Checkpoint& checkpoint);

struct WholeCheckpoint {
    std::optional<Checkpoint> newest{}; // nothing where there is no checkpoint
    std::vector<Checkpoint> damaged{};  // newer ones
};

// The newest without a fault; says on the console what is wrong with newer ones. Throws std::runtime_error, naming the
// first fault, when there are checkpoints and all are damaged.
WholeCheckpoint newest_whole_checkpoint(const std::filesystem::path& run);

} // namespace patchforge
