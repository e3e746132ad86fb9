// timing.json of a run: how long it trained so far.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace patchforge {

struct TrainingTime {
    double seconds = 0;
    std::uint64_t steps = 0;
    double processor_seconds =
        0; // of all its processes and their threads; 0 in runs of version 0.1
};

void write_timing(const std::filesystem::path& run, const TrainingTime& time);
// Nothing where there is no such file. Throws std::runtime_error naming a damaged one.
std::optional<TrainingTime> read_timing(const std::filesystem::path& run);

} // namespace patchforge
