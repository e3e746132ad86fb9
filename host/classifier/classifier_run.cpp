#include "host/classifier/classifier_run.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <stdexcept>

#include "data/atomic_file.h"
#include "host/attack/attack_runner.h"
#include "host/classifier/classifier_report.h"
#include "host/classifier/classifier_scores.h"
#include "host/classifier/classifier_trainer.h"
#include "host/classifier/right_and_wrong.h"
#include "host/files/safetensors.h"
#include "host/model/classifier_members.h"
#include "host/page/figure_text.h"
#include "host/page/kept_sheet.h"
#include "host/ranks/job.h"
#include "host/run/parameters_file.h"
#include "host/session/open_set.h"
#include "host/train/training.h"

namespace patchforge {

namespace {

// What a checkpoint must hold of the best epoch, so that a resumed run chooses as if nothing had
// happened.
struct Best {
    double score = -1;
    double epoch = 0;

    std::vector<std::byte> encode() const {
        const double values[] = {score, epoch};
        Tensor tensor{"best", "F64", {2}, std::vector<std::byte>(sizeof(values))};
        std::memcpy(tensor.bytes.data(), values, sizeof(values));
        return encode_safetensors({tensor});
    }
    static Best decode(const std::filesystem::path& checkpoint) {
        // Checkpoints before best.safetensors: behind three sums of the interval.
        const bool earlier = !std::filesystem::exists(checkpoint / "best.safetensors");
        const TensorFile file =
            read_safetensors(checkpoint / (earlier ? "standing.safetensors" : "best.safetensors"));
        const Tensor& tensor = file.at(earlier ? "standing" : "best");
        const std::size_t first = (earlier ? 3 : 0) * sizeof(double);
        double values[2] = {};
        if (tensor.bytes.size() != first + sizeof(values)) {
            throw std::runtime_error(file.name + ": the best score has the wrong size; resume from "
                                                 "another checkpoint");
        }
        std::memcpy(values, tensor.bytes.data() + first, sizeof(values));
        return {values[0], values[1]};
    }
};

ClassifierFormat format_of(const PackedSet& set, const ClassifierOptions& options) {
    ClassifierFormat format = format_of(set);
    format.binary_head = options.binary_head;
    if (format.class_count() < 2) {
        throw std::invalid_argument(
            fmt::format("--data {}: has {} classes; give patches of at least two",
                        set.path().string(), format.class_count()));
    }
    if ((options.choose_threshold || options.threshold != 0.5) && format.class_count() != 2) {
        throw std::invalid_argument(fmt::format(
            "--threshold: parts two classes, the set has {}; leave it out", format.class_count()));
    }
    if (format.binary_head && format.class_count() != 2) {
        throw std::invalid_argument(fmt::format(
            "--head binary: the set has {} classes; use --head softmax", format.class_count()));
    }
    return format;
}

// The classifier that epochs are logged, scored and saved of.
class ClassifierFamily final : public Family {
  public:
    ClassifierFamily(Backend& backend, const ClassifierTask& task,
                     const ClassifierOptions& classifier, Placement placement,
                     const Sharding& sharding)
        : backend_(backend), classifier_(classifier), task_(task),
          trainer_(backend, classifier, task.format, task.data.train, placement, sharding) {
        if (adversarial()) {
            test_set_ = {bytes_of(task.data.test), labels_of(task.data.test), {}};
        }
        if (adversarial() && task.data.validation) {
            validation_set_ = {
                bytes_of(*task.data.validation), labels_of(*task.data.validation), {}};
        }
    }

    std::string kind() const override { return task_.kind; }
    TrainingSchedule schedule() const override {
        const auto epoch = static_cast<std::uint64_t>(trainer_.batches_per_epoch());
        return {.log = epoch, .checkpoint = epoch};
    }
    std::vector<std::string> metrics() const override {
        return {"loss", "adversarial_loss", "logit_distance"};
    }
    std::vector<MetricColumn> columns() const override;
    std::map<std::string, const Network*> networks() override {
        return {{"classifier", &trainer_.model().network()}};
    }
    std::string rates() const override { return "--lr"; }
    std::uint64_t step() const override { return trainer_.step(); }
    std::uint64_t total_steps() const override { return trainer_.total_steps(); }
    std::vector<std::vector<double>> run(std::int64_t count) override;
    bool finished() const override {
        return classifier_.patience > 0 && static_cast<double>(epoch()) - best_.epoch >=
                                               static_cast<double>(classifier_.patience);
    }
    CheckpointFiles checkpoint() override {
        CheckpointFiles files = trainer_.checkpoint();
        files["best.safetensors"] = best_.encode();
        return files;
    }
    void restore(const std::filesystem::path& checkpoint) override {
        trainer_.restore(checkpoint.string());
        best_ = Best::decode(checkpoint);
    }
    void introduce(TrainingRun& run) override;
    std::vector<double> look(TrainingRun& run, const IntervalMeans& means) override;
    void report(TrainingRun& run) override { write_classifier_report(run.folder(), run.seconds()); }
    void conclude(TrainingRun& run) override;

  private:
    bool adversarial() const { return classifier_.adversarial.active(); }
    std::int64_t epoch() const {
        return static_cast<std::int64_t>(trainer_.step()) / trainer_.batches_per_epoch();
    }
    // What the model calls the patches under the attack it is trained with.
    std::vector<std::int32_t> called_under_attack(const ClassifierModel& model,
                                                  const AttackSet& patches);

    Backend& backend_;
    ClassifierOptions classifier_;
    const ClassifierTask& task_;
    ClassifierTrainer trainer_;
    Best best_;
    AttackSet test_set_, validation_set_; // with adversarial training
};

// score: what chooses the best epoch, of the validation patches if there are any. Robust: on the
// test patches, attacked as in training.
std::vector<MetricColumn> ClassifierFamily::columns() const {
    std::vector<MetricColumn> columns = {
        {"epoch", ""}, {"train_loss", "loss/train_loss"}, {"test_loss", "loss/test_loss"}};
    for (const char* name :
         {"accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity"}) {
        columns.push_back({name, std::string("test/") + name});
    }
    columns.push_back({"score", task_.data.validation ? "validation/score" : "test/score"});
    if (classifier_.choose_threshold) {
        columns.push_back({"threshold", "validation/threshold"});
    }
    if (adversarial()) {
        columns.insert(columns.end(),
                       {{"train_loss_adversarial", "loss/train_loss_adversarial"},
                        {"train_logit_distance", "loss/train_logit_distance"},
                        {"robust_accuracy", "test/robust_accuracy"},
                        {"robust_balanced_accuracy", "test/robust_balanced_accuracy"}});
    }
    return columns;
}

std::vector<std::vector<double>> ClassifierFamily::run(std::int64_t count) {
    std::vector<std::vector<double>> all;
    for (const ClassifierStep& step : trainer_.run(count)) {
        all.push_back({step.loss, step.adversarial_loss, step.logit_distance});
    }
    return all;
}

void ClassifierFamily::introduce(TrainingRun& run) {
    run.log(fmt::format("Device: {}", backend_.description()));
    run.log(fmt::format("Data: {} patches to train, {}{} to test ({})", task_.data.train.used(),
                        task_.data.validation ? fmt::format("{} to choose the best epoch, ",
                                                            task_.data.validation->used())
                                              : "",
                        task_.data.test.used(), task_.data.how));
    run.log(fmt::format("Classifier: {} parameters, {} classes",
                        trainer_.model().network().shape().parameter_count(),
                        trainer_.model().class_count()));
}

std::vector<std::int32_t> ClassifierFamily::called_under_attack(const ClassifierModel& model,
                                                                const AttackSet& patches) {
    AttackOptions attack;
    attack.method = attack_method(
        classifier_.adversarial.method == AdversarialTraining::Method::fgsm ? "fgsm" : "pgd");
    attack.steps = classifier_.adversarial.steps;
    attack.alpha = classifier_.adversarial.step_size();
    attack.seed = classifier_.seed;
    AttackRunner runner({&model}, nullptr, patches, attack);
    std::vector<std::int32_t> called;
    for (const SampleOutcome& sample : runner.run(classifier_.adversarial.epsilon).samples) {
        called.push_back(sample.adversarial);
    }
    return called;
}

std::vector<double> ClassifierFamily::look(TrainingRun& run, const IntervalMeans& means) {
    ClassifierModel& model = trainer_.judged();
    const auto logits_of = [&](const PatchRows& patches) {
        return model.logits(bytes_of(patches));
    };
    const std::vector<float> validation =
        task_.data.validation ? logits_of(*task_.data.validation) : std::vector<float>();
    const std::vector<float> tested = logits_of(task_.data.test);
    model.set_threshold(classifier_.choose_threshold
                            ? best_threshold(validation, labels_of(*task_.data.validation))
                            : classifier_.threshold);
    const auto scores_of = [&](const std::vector<float>& logits, const PatchRows& patches) {
        return score_logits(logits, labels_of(patches), task_.format.class_count(), model.lead());
    };
    const ClassifierScores scores = scores_of(tested, task_.data.test);
    const auto balanced_of = [&](const std::vector<std::int32_t>& called, const AttackSet& set) {
        return balanced_accuracy_of(called, set.labels, task_.format.class_count());
    };
    double clean = scores.balanced_accuracy, robust = clean;
    std::vector<double> under_attack;
    std::string robust_words;
    if (adversarial()) {
        const std::vector<std::int32_t> called = called_under_attack(model, test_set_);
        double right = 0;
        for (std::size_t i = 0; i < called.size(); ++i) {
            right += called[i] == test_set_.labels[i];
        }
        robust = balanced_of(called, test_set_);
        under_attack = {means.mean("adversarial_loss"), means.mean("logit_distance"),
                        right / static_cast<double>(called.size()), robust};
        robust_words = fmt::format(", under {} {:.4f}", classifier_.adversarial.name(), robust);
    }
    if (task_.data.validation) {
        clean = scores_of(validation, *task_.data.validation).balanced_accuracy;
        robust = adversarial()
                     ? balanced_of(called_under_attack(model, validation_set_), validation_set_)
                     : clean;
    }
    const double score = (clean + robust) / 2;
    const bool best = score > best_.score;
    if (best) {
        best_ = {score, static_cast<double>(epoch())};
        const TensorFile weights = model.weights();
        run.write_best("classifier.safetensors",
                       encode_safetensors(weights.tensors, weights.metadata));
        const std::vector<std::int32_t> called =
            called_of(tested, task_.format.class_count(), model.lead());
        keep_sheet(
            kept_sheet_file(run.folder(), "right_and_wrong"),
            right_and_wrong(task_.data.test, labels_of(task_.data.test), called, task_.format),
            fmt::format("Test patches at epoch {}: of each class some that were called right "
                        "and some that were not, evenly spaced through the set.",
                        epoch()));
    }
    run.log(fmt::format(
        "Epoch [{}/{}], train loss {:.4f}, test loss {:.4f}, accuracy {:.4f}, balanced {:.4f}{}, "
        "AUC {}, sensitivity {}, specificity {}{}{}{}",
        epoch(), classifier_.epochs, means.mean("loss"), scores.loss, scores.accuracy,
        scores.balanced_accuracy, robust_words, figure_text(scores.auc, 4),
        figure_text(scores.sensitivity, 4), figure_text(scores.specificity, 4),
        task_.data.validation ? fmt::format(", score {:.4f}", score) : "",
        classifier_.choose_threshold ? fmt::format(", threshold {:.3f}", model.threshold()) : "",
        best ? " (best)" : ""));
    std::vector<double> values = {static_cast<double>(epoch()),
                                  means.mean("loss"),
                                  scores.loss,
                                  scores.accuracy,
                                  scores.balanced_accuracy,
                                  scores.auc,
                                  scores.sensitivity,
                                  scores.specificity,
                                  score};
    if (classifier_.choose_threshold) {
        values.push_back(model.threshold());
    }
    model.set_threshold(0.5); // training goes on with the network's own bias
    values.insert(values.end(), under_attack.begin(), under_attack.end());
    return values;
}

void ClassifierFamily::conclude(TrainingRun& run) {
    run.log(fmt::format("Best {} on the {} patches: {:.4f} (epoch {})",
                        adversarial() ? "mean of clean and robust balanced accuracy"
                                      : "balanced accuracy",
                        task_.data.validation ? "validation" : "test", best_.score, best_.epoch));
    if (task_.data.validation) {
        const std::vector<double> tested =
            read_metrics(run.folder() / "metrics.csv").column("balanced_accuracy");
        run.log(
            fmt::format("Balanced accuracy on the test patches, which had no say in this: {:.4f}",
                        tested.at(static_cast<std::size_t>(best_.epoch) - 1)));
    }
}

bool train_one(const ClassifierTask& task, const ClassifierOptions& classifier,
               const RunOptions& options) {
    const Sharding sharding = sharding_of(options);
    const auto backend = options.device.make();
    ClassifierFamily family(*backend, task, classifier, options.placement, sharding);
    RunRecord record = record_of(classifier, options);
    for (const auto& [name, value] : task.about) {
        record.fact(name, value);
    }
    record.rules.may_change.insert(record.rules.may_change.end(), {"data", "test", "extra_data"});
    if (classifier.rates.needs_length()) { // the rates of every iteration depend on the length
        std::erase(record.rules.may_change, "epochs");
    }
    record.fact("split", task.data.how);
    record.fact("train_patches", task.data.train.used());
    record.fact("validation_patches", task.data.validation ? task.data.validation->used() : 0);
    record.fact("test_patches", task.data.test.used());
    record.changeable_fact("device", backend->name());
    return train(family, options, std::move(record), sharding);
}

bool train_ensemble(const ClassifierTask& task, const ClassifierOptions& classifier,
                    const ClassifierRunOptions& options) {
    const std::filesystem::path& out = options.run.out;
    if (is_run_folder(out)) {
        throw std::invalid_argument(fmt::format(
            "--out {}: is a run of one classifier; give another folder for the ensemble",
            out.string()));
    }
    for (std::int64_t member = 0; member < options.ensemble; ++member) {
        ClassifierOptions its_classifier = classifier;
        its_classifier.seed += static_cast<std::uint64_t>(member);
        RunOptions its_options = options.run;
        its_options.out = member_folder(out, member);
        its_options.resume = options.run.resume && is_run_folder(its_options.out);
        if (!train_one(task, its_classifier, its_options)) {
            return false;
        }
    }
    if (const Ranks* ranks = job_ranks(); ranks && ranks->rank() > 0) {
        return true;
    }
    const auto backend = options.run.device.make();
    const auto members = load_members(*backend, out);
    const ClassifierScores scores =
        score_logits(mean_logits(members, bytes_of(task.data.test)), labels_of(task.data.test),
                     task.format.class_count());
    write_file_atomically(
        out / "ensemble.json",
        fmt::format("{{\"members\": {}, \"loss\": {:.6f}, \"accuracy\": {:.6f}, "
                    "\"balanced_accuracy\": {:.6f}, \"auc\": {}}}\n",
                    members.size(), scores.loss, scores.accuracy, scores.balanced_accuracy,
                    std::isfinite(scores.auc) ? fmt::format("{:.6f}", scores.auc) : "null"));
    fmt::print("{} members, mean logit: accuracy {:.4f}, balanced {:.4f}, AUC {}\n", members.size(),
               scores.accuracy, scores.balanced_accuracy, figure_text(scores.auc, 4));
    return true;
}

} // namespace

void describe(Options& options, ClassifierRunOptions& run) {
    options.group("Run");
    options
        .number("ensemble", run.ensemble, {1, 100},
                "members, with seeds from --seed on; they answer with the mean logit")
        .unrecorded();
    describe(options, run.run);
}

ClassifierTask classifier_task(const ClassifierSets& sets, const ClassifierOptions& options) {
    const PackedSet& set = *sets.set;
    ClassifierTask task{"train classifier",
                        format_of(set, options),
                        classifier_data(set, sets.test,
                                        {options.test_patients, options.validation_patients,
                                         options.split_seed, options.test_list}),
                        {}};
    if (sets.extra) {
        add_training_patches(task.data, set, *sets.extra);
    }
    const auto tell = [&](const std::string& name, const PackedSet* told) {
        task.about.emplace_back(name, told ? told->path().string() : "");
        task.about.emplace_back(name + "_hash", told ? hash_of(*told) : "");
    };
    tell("data", &set);
    tell("test", sets.test);
    tell("extra_data", sets.extra);
    return task;
}

bool run_classifier_training(const ClassifierTask& task, const ClassifierOptions& classifier,
                             const ClassifierRunOptions& options) {
    classifier.validate();
    check_ranges(options);
    return options.ensemble == 1 ? train_one(task, classifier, options.run)
                                 : train_ensemble(task, classifier, options);
}

} // namespace patchforge
