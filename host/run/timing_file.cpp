#include "host/run/timing_file.h"

#include <fmt/format.h>

#include "data/atomic_file.h"
#include "host/files/json_file.h"

namespace patchforge {

namespace {

std::filesystem::path timing_file_of(const std::filesystem::path& run) {
    return run / "timing.json";
}

} // namespace

void write_timing(const std::filesystem::path& run, const TrainingTime& time) {
    write_file_atomically(
        timing_file_of(run),
        fmt::format(
            "{{\"training_seconds\": {:.3f}, \"steps\": {}, \"processor_seconds\": {:.3f}}}\n",
            time.seconds, time.steps, time.processor_seconds));
}

std::optional<TrainingTime> read_timing(const std::filesystem::path& run) {
    if (!std::filesystem::exists(timing_file_of(run))) {
        return std::nullopt;
    }
    const Json json = read_json(timing_file_of(run));
    return reading_json(timing_file_of(run).string(), [&] {
        return TrainingTime{json.at("training_seconds").number(), json.at("steps").natural(),
                            json.value("processor_seconds", 0).number()};
    });
}

} // namespace patchforge
