// The folder of one run:
//
//   params.json              what was asked for; a resumed run must ask for the same
//   log.txt                  every line that the console showed
//   metrics.csv              one row a logged step
//   images/                  grids
//   checkpoints/step_N/      complete or not there
//   checkpoints/best/        weights of the best step so far, each file whole
//
// docs/formats.md describes the files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/options/parameters.h"

namespace patchforge {

// What a resumed run may ask for beside what the run began with.
struct ResumeRules {
    std::vector<std::string> may_change{};         // names of parameters
    std::map<std::string, std::string> standard{}; // what a parameter was before it existed
};

// In a run of several stages: the run of the one before.
constexpr const char* earlier_stage = "stage-1";

struct Checkpoint {
    std::int64_t step = 0;
    std::filesystem::path folder;
};

// Complete checkpoints under `run`, by ascending step.
std::vector<Checkpoint> list_checkpoints(const std::filesystem::path& run);
std::optional<Checkpoint> latest_checkpoint(const std::filesystem::path& run);
// run/checkpoints/best, whether it is there or not.
std::filesystem::path best_checkpoint(const std::filesystem::path& run);

// "train gan" and the like. Throws std::runtime_error when `run` is not a run folder.
std::string read_run_kind(const std::filesystem::path& run);
Parameters read_parameters(const std::filesystem::path& run);

struct Metrics {
    std::vector<std::string> columns; // the first is "step"
    std::vector<std::vector<double>> rows;

    // Throws std::runtime_error for an unknown name.
    std::vector<double> column(std::string_view name) const;
};
Metrics read_metrics(const std::filesystem::path& csv);

// Where a run writes. One process at a time: a second one is refused. All failures of writing are
// std::runtime_error naming the file; what was complete before stays complete.
class RunFolder {
  public:
    // Throws what create would throw before it wrote anything.
    static void check(const std::filesystem::path& path);

    // Makes the folder (and its parents). Refuses one that holds anything already:
    // std::invalid_argument, which tells how to resume when it is a run.
    static RunFolder create(const std::filesystem::path& path, const std::string& kind,
                            const Parameters& parameters);

    // Opens a run to go on with it. Refuses with std::invalid_argument, showing the difference,
    // when `kind` or a parameter is not what the run began with, unless the rules allow it; those
    // are written anew.
    static RunFolder resume(const std::filesystem::path& path, const std::string& kind,
                            const Parameters& parameters, const ResumeRules& rules);

    RunFolder(RunFolder&& other) noexcept;
    RunFolder& operator=(RunFolder&&) = delete;
    ~RunFolder();

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path images() const { return path_ / "images"; }

    // A line for people: to the console and to log.txt.
    void log(std::string_view line);

    // Call once before the first row. `columns` without the step, which always comes first. When a
    // run is resumed at `keep_up_to`, later rows (and a torn last one) are dropped, so that the
    // file ends as that of a run that was never interrupted.
    void open_metrics(const std::vector<std::string>& columns, std::int64_t keep_up_to = 0);
    // Whole numbers are written as such, others with 7 significant digits.
    void append_metrics(std::int64_t step, std::span<const double> values);

    // Writes the files into a folder aside, syncs all of it and renames it to checkpoints/step_N;
    // then removes the oldest checkpoints but `keep` (>= 1). metrics.csv and log.txt are synced
    // first, so they are never behind a checkpoint.
    void write_checkpoint(std::int64_t step,
                          const std::map<std::string, std::vector<std::byte>>& files, int keep);
    // All but the newest `keep` (>= 1) and that of `step`; also at the start of a call that resumes, because
    // the one before may have ended between the last checkpoint's writing and this.
    void remove_older_checkpoints(std::int64_t step, int keep) const;

    // Replaces checkpoints/best/<file> by these bytes at once. Call it before the checkpoint of the
    // same step is written: a run resumed from an earlier one comes by the best step again, one
    // resumed from this checkpoint would not.
    void write_best(const std::string& file, std::span<const std::byte> bytes);

    std::optional<Checkpoint> latest_checkpoint() const;
    // Out of the way of those that follow, as checkpoints/step_N.damaged; returns that path.
    std::filesystem::path set_aside(const Checkpoint& damaged) const;

  private:
    explicit RunFolder(std::filesystem::path path);
    void open_log();

    std::filesystem::path path_;
    int log_ = -1; // file descriptors
    int metrics_ = -1;
    std::size_t metric_count_ = 0;
};

} // namespace patchforge
