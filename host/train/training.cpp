#include "host/train/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <functional>
#include <stdexcept>

#include "host/files/tensor_facts.h"
#include "host/run/event_file.h"
#include "host/run/interrupt.h"
#include "host/run/progress.h"
#include "host/run/timing_file.h"
#include "host/run/whole_checkpoint.h"
#include "host/train/followers.h"
#include "host/train/iterations.h"

namespace patchforge {

namespace {

// Of this process, all threads together: data, training and scoring.
double processor_seconds() {
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

// In a checkpoint that was saved because a signal came between an iteration and what is due after it: what is still to do.
constexpr const char* owed_name = "owed.safetensors";
constexpr std::uint64_t nothing_owed = 3;

class Session final : public TrainingRun {
  public:
    Session(Family& family, const RunOptions& options, const RunRecord& record,
            const Sharding& sharding)
        : family_(family), options_(options), schedule_(family.schedule()),
          columns_(family.columns()),
          folder_(
              options.resume
                  ? RunFolder::resume(options.out, family.kind(), record.parameters, record.rules)
                  : RunFolder::create(options.out, family.kind(), record.parameters)),
          events_(folder_.path()), means_(family.metrics()), leader_(sharding.ranks) {
        resume();
    }

    bool train();
    void dismiss() { leader_.dismiss(); }

    const std::filesystem::path& folder() const override { return folder_.path(); }
    double seconds() const override { return seconds_; }
    void log(std::string_view line) override { folder_.log(line); }
    void scalar(const std::string& tag, double value) override { events_.scalar(tag, at(), value); }
    void image(const std::string& tag, const Image& image) override {
        events_.image(tag, at(), image);
    }
    void write_best(const std::string& file, const std::vector<std::byte>& bytes) override {
        folder_.write_best(file, bytes);
    }

  private:
    std::int64_t at() const { return static_cast<std::int64_t>(family_.step()); }
    bool over() const { return family_.step() >= family_.total_steps() || family_.finished(); }
    bool due(std::uint64_t interval) const {
        return over() || (interval > 0 && family_.step() % interval == 0);
    }
    void resume();
    void restore_owed(const std::filesystem::path& checkpoint);
    // Iterations until the next thing that must happen between two iterations.
    std::int64_t until_next_event() const;
    void iterate(std::int64_t count);
    void log_interval();
    // What is due at the step that was reached, or is owed since an interruption in the midst of it.
    void attend();
    void checkpoint();
    void stop_unless_finite() const;
    [[noreturn]] void stop_at(std::uint64_t step, const std::string& what) const;

    Family& family_;
    RunOptions options_;
    TrainingSchedule schedule_;
    std::vector<MetricColumn> columns_;
    RunFolder folder_;
    EventFile events_;
    IntervalMeans means_;
    Leader leader_;
    std::uint64_t owed_ = nothing_owed; // the next of attend()'s pieces
    double seconds_ = 0;
    double seconds_per_step_ = 0;
    double processor_seconds_before_ = 0; // of earlier processes of this run
};

void Session::resume() {
    std::int64_t keep_up_to = 0;
    if (options_.resume) {
        const WholeCheckpoint found = newest_whole_checkpoint(folder_.path());
        for (const Checkpoint& damaged : found.damaged) {
            folder_.log(fmt::format("Damaged: {}, kept as {}", damaged.folder.string(),
                                    folder_.set_aside(damaged).string()));
        }
        if (const auto& last = found.newest) {
            leader_.restore(last->folder);
            family_.restore(last->folder);
            means_.restore(last->folder, family_.step(), schedule_.log);
            restore_owed(last->folder);
            folder_.remove_older_checkpoints(last->step, options_.keep);
            keep_up_to = owed_ == 0 ? last->step - 1 : last->step;
            const TrainingTime before = read_timing(folder_.path()).value_or(TrainingTime());
            seconds_ = before.seconds;
            processor_seconds_before_ = before.processor_seconds;
            events_.start(keep_up_to + 1);
            folder_.log(fmt::format("Resumed from {}", last->folder.string()));
        } else {
            events_.start(0);
            folder_.log("No checkpoint yet: starting from the first step");
        }
    }
    std::vector<std::string> names;
    for (const MetricColumn& column : columns_) {
        names.push_back(column.name);
    }
    folder_.open_metrics(names, keep_up_to);
    family_.remember(*this, read_metrics(folder_.path() / "metrics.csv"));
}

std::int64_t Session::until_next_event() const {
    const std::uint64_t step = family_.step();
    std::uint64_t next = family_.total_steps();
    for (const std::uint64_t every :
         {schedule_.log, schedule_.sample, schedule_.evaluate, schedule_.checkpoint}) {
        if (every > 0) {
            next = std::min(next, (step / every + 1) * every);
        }
    }
    // About a fifth of a second at a time, so that Ctrl-C and the bar are answered.
    const double affordable = seconds_per_step_ > 0 ? 0.2 / seconds_per_step_ : 1;
    return std::clamp(static_cast<std::int64_t>(std::min(affordable, 1e6)), std::int64_t{1},
                      std::min(static_cast<std::int64_t>(next - step), Iterations::maximum_run));
}

void Session::stop_at(std::uint64_t step, const std::string& what) const {
    const auto last = folder_.latest_checkpoint();
    throw std::runtime_error(fmt::format(
        "{}: step {}: {} is not finite; {}; lower {}", folder_.path().string(), step, what,
        last ? "the last good checkpoint is " + last->folder.string()
             : std::string("there is no checkpoint before it"),
        family_.rates()));
}

// A gradient that is not finite makes the first moment so, and that stays.
void Session::stop_unless_finite() const {
    for (const auto& [name, network] : family_.networks()) {
        Backend& backend = network->backend();
        const AdamTensor all = network->all();
        DeviceArray<double> sums(backend, 2);
        backend.sum_of_squares(sums.view().part(0, 1), all.value);
        backend.sum_of_squares(sums.view().part(1, 1), all.first_moment);
        double host[2] = {};
        sums.download(host, 2);
        for (const auto& [sum, what] : {std::pair(host[0], "weight"), {host[1], "gradient"}}) {
            if (!std::isfinite(sum)) {
                stop_at(family_.step(), fmt::format("a {} of the {}", what, name));
            }
        }
    }
}

void Session::iterate(std::int64_t count) {
    const auto start = std::chrono::steady_clock::now();
    std::uint64_t step = family_.step();
    const std::vector<std::string> names = family_.metrics();
    leader_.run(count);
    const std::vector<std::vector<double>> all = family_.run(count);
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    seconds_ += passed.count();
    seconds_per_step_ = passed.count() / static_cast<double>(count);
    for (const std::vector<double>& metrics : all) {
        ++step;
        for (std::size_t i = 0; i < metrics.size(); ++i) {
            if (!std::isfinite(metrics[i])) {
                stop_at(step, names[i]);
            }
        }
        means_.add(metrics);
    }
}

void Session::log_interval() {
    const std::vector<double> values = family_.look(*this, means_);
    means_.clear();
    folder_.append_metrics(at(), values);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (!columns_[i].tag.empty()) {
            events_.scalar(columns_[i].tag, at(), values[i]);
        }
    }
}

void Session::checkpoint() {
    write_timing(folder_.path(),
                 {seconds_, family_.step(), processor_seconds_before_ + processor_seconds()});
    CheckpointFiles files = family_.checkpoint();
    files["interval.safetensors"] = means_.encode();
    if (owed_ < nothing_owed) {
        files[owed_name] = encode_safetensors({make_u64("piece", {}, &owed_)});
    }
    folder_.write_checkpoint(at(), files, options_.keep);
}

void Session::restore_owed(const std::filesystem::path& checkpoint) {
    if (std::filesystem::exists(checkpoint / owed_name)) {
        owed_ =
            std::min(scalar_u64(read_safetensors(checkpoint / owed_name), "piece"), nothing_owed);
    }
}

void Session::attend() {
    const std::array<std::function<void()>, nothing_owed> pieces = {
        [this] {
            if (due(schedule_.log) || due(schedule_.checkpoint)) {
                stop_unless_finite();
            }
            if (due(schedule_.log)) {
                log_interval();
            }
        },
        [this] {
            if (due(schedule_.sample)) {
                family_.sample(*this);
            }
        },
        [this] {
            if (due(schedule_.evaluate)) {
                family_.evaluate(*this);
            }
        }};
    for (; owed_ < nothing_owed; ++owed_) {
        pieces[owed_]();
    }
    events_.flush();
}

bool Session::train() {
    family_.introduce(*this);
    bool complete = true;
    const std::int64_t first = at();
    {
        const InterruptScope interrupt_scope;
        ProgressBar bar("train", static_cast<std::int64_t>(family_.total_steps()), "steps", at());
        bool saved = true; // the state of this step is on disk
        try {
            if (owed_ < nothing_owed) {
                saved = false;
                attend();
            }
            while (!over() && !interrupted()) {
                iterate(until_next_event());
                saved = false;
                owed_ = 0;
                attend();
                if (due(schedule_.checkpoint)) {
                    checkpoint();
                    saved = true;
                }
                bar.update(at());
            }
        } catch (const Interrupted&) { // within attend(): the rest is owed
        }
        complete = over() && owed_ == nothing_owed;
        const double sent = static_cast<double>(leader_.end(complete));
        if (const std::int64_t done = at() - first; sent > 0 && done > 0) {
            folder_.log(fmt::format("The ranks sent {:.0f} bytes of sums an iteration",
                                    sent / static_cast<double>(done)));
        }
        if (!saved) {
            checkpoint();
        }
    }
    family_.report(*this);
    if (!complete) {
        folder_.log(fmt::format("Interrupted at step {} of {}; everything is saved", family_.step(),
                                family_.total_steps()));
        return false;
    }
    family_.conclude(*this);
    return true;
}

} // namespace

bool train(Family& family, const RunOptions& options, RunRecord record, const Sharding& sharding) {
    if (!sharding.cut() && sharding_of(options).cut()) {
        throw std::invalid_argument(
            fmt::format("--shards: {} takes whole batches, of one process", family.kind()));
    }
    if (sharding.rank() > 0) {
        return follow(family, *sharding.ranks);
    }
    record.fact("shards", std::int64_t{sharding.shards});
    record.rules.standard["shards"] = "1";
    Session session(family, options, record, sharding);
    const bool complete = session.train();
    session.dismiss();
    return complete;
}

} // namespace patchforge
