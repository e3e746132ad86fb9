// What is trained: a family has its networks, its metrics, its step and its report. The loop in
// training.h runs it and owns the rest: log, metrics, event files, progress, interrupts,
// checkpoints, resuming, the stop at numbers that are not finite.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/png.h"
#include "host/network/network.h"
#include "host/run/run_folder.h"
#include "host/train/interval_means.h"

namespace patchforge {

// In iterations. 0: at the end alone.
struct TrainingSchedule {
    std::uint64_t log = 1; // rows of metrics.csv; at least 1
    std::uint64_t sample = 0;
    std::uint64_t evaluate = 0;
    std::uint64_t checkpoint = 0;
};

struct MetricColumn {
    std::string name; // in metrics.csv
    std::string tag;  // in event files; empty: not there
};

using CheckpointFiles = std::map<std::string, std::vector<std::byte>>;

// What the loop lends a family.
class TrainingRun {
  public:
    virtual ~TrainingRun() = default;
    virtual const std::filesystem::path& folder() const = 0;
    virtual double seconds() const = 0; // that training took so far, resumed ones included
    virtual void log(std::string_view line) = 0;
    virtual void scalar(const std::string& tag, double value) = 0; // at the step that was reached
    virtual void image(const std::string& tag, const Image& image) = 0;
    // Replaces checkpoints/best/<file>.
    virtual void write_best(const std::string& file, const std::vector<std::byte>& bytes) = 0;
};

class Family {
  public:
    virtual ~Family() = default;

    virtual std::string kind() const = 0; // "train gan": the run folder's
    virtual TrainingSchedule schedule() const = 0;
    virtual std::vector<std::string> metrics() const = 0;         // what each iteration measures
    virtual std::vector<MetricColumn> columns() const = 0;        // of metrics.csv, behind the step
    virtual std::map<std::string, const Network*> networks() = 0; // by what people call them
    virtual std::string rates() const = 0;                        // the options that lower them

    virtual std::uint64_t step() const = 0; // iterations done
    virtual std::uint64_t total_steps() const = 0;
    // Iterations until the training may be asked to stop: at most Iterations::maximum_run. Returns
    // the metrics of each.
    virtual std::vector<std::vector<double>> run(std::int64_t count) = 0;
    virtual bool finished() const { return false; } // before total_steps()

    virtual CheckpointFiles checkpoint() = 0;
    virtual void restore(const std::filesystem::path& checkpoint) = 0;
    // The rows of metrics.csv that stay, when a run begins or goes on at step().
    virtual void remember(TrainingRun& run, const Metrics& logged);

    // Before the first iteration of this process: what is trained on what, in words and pictures.
    virtual void introduce(TrainingRun& run) = 0;
    // The next three may throw Interrupted, before they told or kept anything: a run that goes on calls them again.
    // Every schedule().log iterations: says how it stands; returns a value for each column.
    virtual std::vector<double> look(TrainingRun& run, const IntervalMeans& means) = 0;
    virtual void sample(TrainingRun& run);
    virtual void evaluate(TrainingRun& run);
    virtual void report(TrainingRun& run) = 0; // report.html, at every end
    virtual void conclude(TrainingRun& run);   // after a run that was not interrupted
};

inline void Family::remember(TrainingRun&, const Metrics&) {}
inline void Family::sample(TrainingRun&) {}
inline void Family::evaluate(TrainingRun&) {}
inline void Family::conclude(TrainingRun&) {}

} // namespace patchforge
