#include "host/translate/translate_family.h"

#include <fmt/format.h>

#include "data/atomic_file.h"
#include "host/page/image_grid.h"
#include "host/page/kept_sheet.h"
#include "host/session/open_set.h"
#include "host/train/training.h"
#include "host/translate/translate_report.h"

namespace patchforge {

namespace {

MakeTranslationTask& task_of(TranslationMode mode) {
    switch (mode) {
    case TranslationMode::super_resolution:
        return super_resolution_task;
    case TranslationMode::paired:
        return paired_task;
    case TranslationMode::cycle:
        return cycle_task;
    case TranslationMode::refine:
        break;
    }
    return refine_task;
}

class TranslateFamily final : public Family {
  public:
    TranslateFamily(Backend& backend, std::unique_ptr<TranslationTask> task,
                    const TranslateRunOptions& options)
        : backend_(backend), options_(options), task_(std::move(task)) {}

    std::string kind() const override { return "train translate"; }
    TrainingSchedule schedule() const override { return options_.intervals.schedule(); }
    std::vector<std::string> metrics() const override { return trainer().metric_names(); }
    std::vector<MetricColumn> columns() const override;
    std::map<std::string, const Network*> networks() override { return trainer().networks(); }
    std::string rates() const override { return "--lr"; }
    std::uint64_t step() const override { return trainer().step(); }
    std::uint64_t total_steps() const override { return trainer().total_steps(); }
    std::vector<std::vector<double>> run(std::int64_t count) override {
        return trainer().run(count);
    }
    CheckpointFiles checkpoint() override { return trainer().checkpoint(); }
    void restore(const std::filesystem::path& checkpoint) override {
        trainer().restore(checkpoint);
    }
    void introduce(TrainingRun& run) override;
    std::vector<double> look(TrainingRun& run, const IntervalMeans& means) override;
    void sample(TrainingRun& run) override;
    void evaluate(TrainingRun& run) override;
    void report(TrainingRun& run) override { write_translate_report(run.folder()); }

  private:
    TranslationTrainer& trainer() const { return task_->trainer(); }

    Backend& backend_;
    TranslateRunOptions options_;
    std::unique_ptr<TranslationTask> task_;
};

std::vector<MetricColumn> TranslateFamily::columns() const {
    std::vector<MetricColumn> columns = {{"epoch", ""}};
    for (const std::string& name : trainer().metric_names()) {
        columns.push_back({name, "loss/" + name});
    }
    return columns;
}

void TranslateFamily::introduce(TrainingRun& run) {
    run.log(fmt::format("Device: {}", backend_.description()));
    run.log(fmt::format("Data: {}, batches of {}", task_->about(), trainer().options().batch_size));
    for (const auto& [name, network] : trainer().networks()) {
        run.log(fmt::format("{}: {} parameters", name, network->shape().parameter_count()));
    }
}

std::vector<double> TranslateFamily::look(TrainingRun& run, const IntervalMeans& means) {
    std::vector<double> values = {
        static_cast<double>((step() - 1) / trainer().steps_per_epoch() + 1)};
    std::string line = fmt::format("Step [{}/{}]", step(), total_steps());
    for (const std::string& name : trainer().metric_names()) {
        values.push_back(means.mean(name));
        line += fmt::format(", {}: {:.4f}", name, values.back());
    }
    run.log(line);
    return values;
}

void TranslateFamily::sample(TrainingRun& run) {
    for (const TranslationSheet& sheet : task_->sheets()) {
        const Image picture = labelled_sheet(sheet.rows, {2, 2, sheet.columns, {}});
        const std::filesystem::path images = run.folder() / "images";
        write_png(images / fmt::format("{}_step_{:07}.png", sheet.name, step()), picture);
        if (step() == total_steps()) {
            write_png(images / (sheet.name + ".png"), picture);
        }
        run.image(sheet.name, picture);
        keep_sheet(kept_sheet_file(run.folder(), sheet.name),
                   {.rows = sheet.rows,
                    .column_names = sheet.columns,
                    .scale = sheet_scale(sheet.rows.at(0).at(0).width)},
                   sheet.caption);
    }
}

void TranslateFamily::evaluate(TrainingRun& run) {
    const TranslationResults results = task_->measure(run);
    write_file_atomically(run.folder() / "results.json", results_json(results));
    for (const TranslationResults::Verdict& verdict : results.verdicts) {
        run.log(verdict.text);
    }
    for (const auto& [name, value] : results.figures) {
        run.scalar("results/" + name, value);
    }
}

} // namespace

void describe(Options& options, TranslateRunOptions& run) {
    describe(options, run.intervals, "a sheet of held-out pictures");
    describe(options, run.run);
}

bool run_translate_training(const TranslateSets& sets, const TranslateOptions& translate,
                            const TranslateRunOptions& options) {
    translate.validate();
    check_ranges(options);
    const Sharding sharding = sharding_of(options.run);
    const auto backend = options.run.device.make();
    auto task = task_of(translate.mode)(*backend, sets, translate, options.run.placement, sharding);
    RunRecord record = record_of(translate, options);
    const auto tell = [&](const std::string& name, const PackedSet* set) {
        record.changeable_fact(name, set ? set->path().string() : std::string());
        record.fact(name + "_hash", set ? hash_of(*set) : "");
    };
    tell("data", sets.set);
    tell("target", sets.target);
    for (const auto& [name, value] : task->facts()) {
        record.fact(name, value);
    }
    record.changeable_fact("device", backend->name());
    if (!translate.rates.needs_length()) { // else the rates of every iteration depend on the length
        record.rules.may_change.insert(record.rules.may_change.end(), {"epochs", "steps"});
    }
    TranslateFamily family(*backend, std::move(task), options);
    return train(family, options.run, std::move(record), sharding);
}

} // namespace patchforge
