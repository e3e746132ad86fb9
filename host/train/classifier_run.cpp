#include "host/train/classifier_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "data/atomic_file.h"
#include "data/read_bytes.h"
#include "host/attack/attack_runner.h"
#include "host/files/safetensors.h"
#include "host/model/classifier_members.h"
#include "host/run/event_file.h"
#include "host/run/interrupt.h"
#include "host/run/parameters_file.h"
#include "host/run/progress.h"
#include "host/run/run_folder.h"
#include "host/train/classifier_report.h"
#include "host/train/classifier_scores.h"
#include "host/train/classifier_trainer.h"

namespace patchforge {

namespace {

// score: what chooses the best epoch, of the validation patches if there are any.
const std::vector<std::string> metric_columns = {"epoch",       "train_loss",        "test_loss",
                                                 "accuracy",    "balanced_accuracy", "auc",
                                                 "sensitivity", "specificity",       "score"};
// With adversarial training, behind them. Robust: on the test patches, attacked as in training.
const std::vector<std::string> adversarial_columns = {"train_loss_adversarial",
                                                      "train_logit_distance", "robust_accuracy",
                                                      "robust_balanced_accuracy"};

const std::vector<std::string> may_change = {"epochs", "patience", "keep",      "data",
                                             "test",   "device",   "extra_data"};

ClassifierFormat format_of(const PackedSet& set, bool binary_head) {
    ClassifierFormat format{set.channels(),
                            set.height(),
                            set.width(),
                            {set.class_names().begin(), set.class_names().end()},
                            binary_head};
    if (format.class_count() < 2) {
        throw std::invalid_argument(
            fmt::format("--data {}: has {} classes; give patches of at least two",
                        set.path().string(), format.class_count()));
    }
    if (binary_head && format.class_count() != 2) {
        throw std::invalid_argument(fmt::format(
            "--head binary: the set has {} classes; use --head softmax", format.class_count()));
    }
    return format;
}

double training_seconds_of(const std::filesystem::path& run) {
    const std::filesystem::path file = run / "timing.json";
    if (!std::filesystem::exists(file)) {
        return 0;
    }
    const std::vector<std::uint8_t> bytes = read_bytes(file, 1 << 16);
    const auto json = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, false);
    return json.is_object() ? json.value("training_seconds", 0.0) : 0;
}

// The rest of what a checkpoint must hold so that a resumed run goes on as if nothing had happened.
struct Standing {
    // Sums over the steps of the epoch so far.
    double loss = 0;
    double adversarial_loss = 0;
    double logit_distance = 0;
    double best = -1; // score
    double best_epoch = 0;

    std::vector<std::byte> encode() const {
        Tensor tensor{"standing",
                      "F64",
                      {sizeof(Standing) / sizeof(double)},
                      std::vector<std::byte>(sizeof(Standing))};
        std::memcpy(tensor.bytes.data(), this, sizeof(Standing));
        return encode_safetensors({tensor});
    }
    static Standing decode(const TensorFile& file) {
        const Tensor& tensor = file.at("standing");
        if (tensor.bytes.size() != sizeof(Standing)) {
            throw std::runtime_error(file.name +
                                     ": tensor standing has the wrong size; resume from "
                                     "another checkpoint");
        }
        Standing standing;
        std::memcpy(&standing, tensor.bytes.data(), sizeof(Standing));
        return standing;
    }
};

class Session {
  public:
    Session(const ClassifierTask& task, const ClassifierOptions& classifier,
            const ClassifierRunOptions& options)
        : classifier_(classifier), options_(options), task_(task),
          backend_(make_backend(options.device, options.backend)),
          trainer_(*backend_, classifier, task.format, task.data.train, options.placement),
          folder_(open_folder()), events_(folder_.path()) {
        if (classifier_.adversarial.active()) {
            test_set_ = {bytes_of(task.data.test), labels_of(task.data.test), {}};
        }
        if (classifier_.adversarial.active() && task.data.validation) {
            validation_set_ = {
                bytes_of(*task.data.validation), labels_of(*task.data.validation), {}};
        }
        resume();
    }

    bool train();

  private:
    RunFolder open_folder() const;
    void resume();
    void run_epoch();
    // Scores at the end of an epoch; true when it is the best so far.
    void finish_epoch();
    void checkpoint(bool best);
    // What training cost so far, for tables of defences.
    void write_timing() const;
    // What the network calls the patches under the attack it is trained with.
    std::vector<std::int32_t> called_under_attack(const AttackSet& patches);
    double robust_balanced_accuracy(const AttackSet& patches);
    std::int64_t epoch() const {
        return static_cast<std::int64_t>(trainer_.step()) / trainer_.batches_per_epoch();
    }
    bool at_epoch_end() const {
        return static_cast<std::int64_t>(trainer_.step()) % trainer_.batches_per_epoch() == 0;
    }
    bool out_of_patience() const {
        return classifier_.patience > 0 && static_cast<double>(epoch()) - standing_.best_epoch >=
                                               static_cast<double>(classifier_.patience);
    }

    ClassifierOptions classifier_;
    ClassifierRunOptions options_;
    const ClassifierTask& task_;
    std::unique_ptr<Backend> backend_;
    ClassifierTrainer trainer_;
    RunFolder folder_;
    EventFile events_;
    Standing standing_;
    AttackSet test_set_, validation_set_; // with adversarial training
    double training_seconds_ = 0;
};

RunFolder Session::open_folder() const {
    Parameters parameters;
    for (const auto& [name, value] : classifier_.listed()) {
        parameters.emplace_back(name, value);
    }
    parameters.emplace_back("keep", std::int64_t{options_.keep});
    parameters.insert(parameters.end(), task_.about.begin(), task_.about.end());
    parameters.emplace_back("split", task_.data.how);
    parameters.emplace_back("train_patches", task_.data.train.used());
    parameters.emplace_back("validation_patches",
                            task_.data.validation ? task_.data.validation->used() : 0);
    parameters.emplace_back("test_patches", task_.data.test.used());
    parameters.emplace_back("precision", precision_name(options_.backend.precision));
    parameters.emplace_back("gemm", gemm_name(options_.backend.gemm));
    parameters.emplace_back("device", backend_->name());
    return options_.resume ? RunFolder::resume(options_.out, task_.kind, parameters, may_change)
                           : RunFolder::create(options_.out, task_.kind, parameters);
}

void Session::resume() {
    std::int64_t keep_up_to = 0;
    if (options_.resume) {
        if (const auto last = folder_.latest_checkpoint()) {
            trainer_.restore(last->folder.string());
            standing_ = Standing::decode(read_safetensors(last->folder / "standing.safetensors"));
            keep_up_to = last->step;
            training_seconds_ = training_seconds_of(folder_.path());
            folder_.log(fmt::format("Resumed from {}", last->folder.string()));
        } else {
            folder_.log("No checkpoint yet: starting from the first step");
        }
    }
    std::vector<std::string> columns = metric_columns;
    if (classifier_.adversarial.active()) {
        columns.insert(columns.end(), adversarial_columns.begin(), adversarial_columns.end());
    }
    folder_.open_metrics(columns, keep_up_to);
}

void Session::run_epoch() {
    const std::int64_t per_epoch = trainer_.batches_per_epoch();
    do {
        const std::int64_t left =
            per_epoch - static_cast<std::int64_t>(trainer_.step()) % per_epoch;
        // 32 at a time, so that Ctrl-C is answered within the second.
        const auto start = std::chrono::steady_clock::now();
        for (const ClassifierStep& step : trainer_.run(std::min<std::int64_t>(left, 32))) {
            standing_.loss += step.loss;
            standing_.adversarial_loss += step.adversarial_loss;
            standing_.logit_distance += step.logit_distance;
        }
        training_seconds_ +=
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (!std::isfinite(standing_.loss + standing_.adversarial_loss +
                           standing_.logit_distance)) {
            const auto last = folder_.latest_checkpoint();
            throw std::runtime_error(
                fmt::format("{}: epoch {}: the loss is not finite; {}; lower --lr",
                            folder_.path().string(), epoch() + 1,
                            last ? "the last good checkpoint is " + last->folder.string()
                                 : std::string("there is no checkpoint before it")));
        }
    } while (!at_epoch_end() && !interrupted());
}

std::vector<std::int32_t> Session::called_under_attack(const AttackSet& patches) {
    AttackOptions attack;
    attack.method = classifier_.adversarial.method == AdversarialTraining::Method::fgsm
                        ? AttackMethod::fgsm
                        : AttackMethod::pgd;
    attack.steps = classifier_.adversarial.steps;
    attack.alpha = classifier_.adversarial.step_size();
    attack.seed = classifier_.seed;
    AttackRunner runner({&trainer_.model()}, nullptr, patches, attack);
    std::vector<std::int32_t> called;
    for (const SampleOutcome& sample : runner.run(classifier_.adversarial.epsilon).samples) {
        called.push_back(sample.adversarial);
    }
    return called;
}

double Session::robust_balanced_accuracy(const AttackSet& patches) {
    return balanced_accuracy_of(called_under_attack(patches), patches.labels,
                                task_.format.class_count());
}

void Session::finish_epoch() {
    const bool adversarial = classifier_.adversarial.active();
    const ClassifierScores scores = score_classifier(trainer_.model(), task_.data.test);
    const auto steps = static_cast<double>(trainer_.batches_per_epoch());
    double clean = scores.balanced_accuracy, robust = clean;
    std::vector<double> under_attack;
    std::string robust_words;
    if (adversarial) {
        const std::vector<std::int32_t> called = called_under_attack(test_set_);
        double right = 0;
        for (std::size_t i = 0; i < called.size(); ++i) {
            right += called[i] == test_set_.labels[i];
        }
        robust = balanced_accuracy_of(called, test_set_.labels, task_.format.class_count());
        under_attack = {standing_.adversarial_loss / steps, standing_.logit_distance / steps,
                        right / static_cast<double>(called.size()), robust};
        robust_words = fmt::format(", under {} {:.4f}", classifier_.adversarial.name(), robust);
    }
    if (task_.data.validation) {
        clean = score_classifier(trainer_.model(), *task_.data.validation).balanced_accuracy;
        robust = adversarial ? robust_balanced_accuracy(validation_set_) : clean;
    }
    const double score = (clean + robust) / 2;
    std::vector<double> values = {static_cast<double>(epoch()),
                                  standing_.loss / steps,
                                  scores.loss,
                                  scores.accuracy,
                                  scores.balanced_accuracy,
                                  scores.auc,
                                  scores.sensitivity,
                                  scores.specificity,
                                  score};
    values.insert(values.end(), under_attack.begin(), under_attack.end());
    standing_.loss = standing_.adversarial_loss = standing_.logit_distance = 0;
    const bool best = score > standing_.best;
    if (best) {
        standing_.best = score;
        standing_.best_epoch = static_cast<double>(epoch());
    }
    folder_.log(fmt::format(
        "Epoch [{}/{}], train loss {:.4f}, test loss {:.4f}, accuracy {:.4f}, balanced {:.4f}{}, "
        "AUC {:.4f}, sensitivity {:.4f}, specificity {:.4f}{}{}",
        epoch(), classifier_.epochs, values[1], scores.loss, scores.accuracy,
        scores.balanced_accuracy, robust_words, scores.auc, scores.sensitivity, scores.specificity,
        task_.data.validation ? fmt::format(", score {:.4f}", score) : "", best ? " (best)" : ""));
    const auto at = static_cast<std::int64_t>(trainer_.step());
    folder_.append_metrics(at, values);
    for (std::size_t i = 1; i < values.size(); ++i) {
        const std::string& name = i < metric_columns.size()
                                      ? metric_columns[i]
                                      : adversarial_columns[i - metric_columns.size()];
        const bool of_training = name.starts_with("train_");
        const bool of_validation = name == "score" && task_.data.validation;
        events_.scalar((of_training || name == "test_loss" ? "loss/"
                        : of_validation                    ? "validation/"
                                                           : "test/") +
                           name,
                       at, values[i]);
    }
    events_.flush();
    checkpoint(best);
}

void Session::write_timing() const {
    write_file_atomically(folder_.path() / "timing.json",
                          fmt::format("{{\"training_seconds\": {:.3f}, \"steps\": {}}}\n",
                                      training_seconds_, trainer_.step()));
}

void Session::checkpoint(bool best) {
    write_timing();
    auto files = trainer_.checkpoint();
    if (best) {
        folder_.write_best("classifier.safetensors", files["classifier.safetensors"]);
    }
    files["standing.safetensors"] = standing_.encode();
    folder_.write_checkpoint(static_cast<std::int64_t>(trainer_.step()), files, options_.keep);
}

bool Session::train() {
    folder_.log(fmt::format("Device: {}", backend_->description()));
    folder_.log(fmt::format("Data: {} patches to train, {}{} to test ({})", task_.data.train.used(),
                            task_.data.validation ? fmt::format("{} to choose the best epoch, ",
                                                                task_.data.validation->used())
                                                  : "",
                            task_.data.test.used(), task_.data.how));
    folder_.log(fmt::format("Classifier: {} parameters, {} classes",
                            trainer_.model().network().shape().parameter_count(),
                            trainer_.model().class_count()));
    InterruptScope interrupt_scope;
    {
        ProgressBar bar("train", classifier_.epochs, "epochs", epoch());
        while (trainer_.step() < trainer_.total_steps() && !interrupted() && !out_of_patience()) {
            run_epoch();
            if (at_epoch_end()) {
                finish_epoch();
            } else {
                checkpoint(false);
            }
            bar.update(epoch());
        }
    }
    write_classifier_report(folder_.path(), training_seconds_);
    if (trainer_.step() < trainer_.total_steps() && !out_of_patience()) {
        folder_.log(fmt::format("Interrupted in epoch {} of {}; everything is saved", epoch() + 1,
                                classifier_.epochs));
        return false;
    }
    folder_.log(fmt::format(
        "Best {} on the {} patches: {:.4f} (epoch {})",
        classifier_.adversarial.active() ? "mean of clean and robust balanced accuracy"
                                         : "balanced accuracy",
        task_.data.validation ? "validation" : "test", standing_.best, standing_.best_epoch));
    if (task_.data.validation) {
        const std::vector<double> tested =
            read_metrics(folder_.path() / "metrics.csv").column("balanced_accuracy");
        folder_.log(
            fmt::format("Balanced accuracy on the test patches, which had no say in this: {:.4f}",
                        tested.at(static_cast<std::size_t>(standing_.best_epoch) - 1)));
    }
    return true;
}

bool train_ensemble(const ClassifierTask& task, const ClassifierOptions& classifier,
                    const ClassifierRunOptions& options) {
    if (is_run_folder(options.out)) {
        throw std::invalid_argument(fmt::format(
            "--out {}: is a run of one classifier; give another folder for the ensemble",
            options.out.string()));
    }
    for (std::int64_t member = 0; member < options.ensemble; ++member) {
        ClassifierOptions its_classifier = classifier;
        its_classifier.seed += static_cast<std::uint64_t>(member);
        ClassifierRunOptions its_options = options;
        its_options.out = member_folder(options.out, member);
        its_options.resume = options.resume && is_run_folder(its_options.out);
        if (!Session(task, its_classifier, its_options).train()) {
            return false;
        }
    }
    const auto backend = make_backend(options.device, options.backend);
    const auto members = load_members(*backend, options.out);
    const ClassifierScores scores =
        score_logits(mean_logits(members, bytes_of(task.data.test)), labels_of(task.data.test),
                     task.format.class_count());
    write_file_atomically(options.out / "ensemble.json",
                          fmt::format("{{\"members\": {}, \"loss\": {:.6f}, \"accuracy\": {:.6f}, "
                                      "\"balanced_accuracy\": {:.6f}, \"auc\": {:.6f}}}\n",
                                      members.size(), scores.loss, scores.accuracy,
                                      scores.balanced_accuracy, scores.auc));
    fmt::print("{} members, mean logit: accuracy {:.4f}, balanced {:.4f}, AUC {:.4f}\n",
               members.size(), scores.accuracy, scores.balanced_accuracy, scores.auc);
    return true;
}

} // namespace

void ClassifierRunOptions::validate() const {
    if (out.empty()) {
        throw std::invalid_argument("--out: missing; name the folder of the run, e.g. runs/c1");
    }
    if (keep < 1) {
        throw std::invalid_argument(
            fmt::format("--keep {}: out of range; give a value of at least 1", keep));
    }
    if (ensemble < 1 || ensemble > 100) {
        throw std::invalid_argument(
            fmt::format("--ensemble {}: out of range; give a value from 1 to 100", ensemble));
    }
}

ClassifierTask classifier_task(const ClassifierSets& sets, const ClassifierOptions& options) {
    const PackedSet& set = *sets.set;
    ClassifierTask task{
        "train classifier",
        format_of(set, options.binary_head),
        classifier_data(set, sets.test,
                        {options.test_patients, options.validation_patients, options.split_seed}),
        {}};
    if (sets.extra) {
        add_training_patches(task.data, set, *sets.extra);
    }
    const auto tell = [&](const std::string& name, const PackedSet* told) {
        task.about.emplace_back(name, told ? told->path().string() : "");
        task.about.emplace_back(name + "_hash",
                                told ? fmt::format("{:016x}", told->content_hash()) : "");
    };
    tell("data", &set);
    tell("test", sets.test);
    tell("extra_data", sets.extra);
    return task;
}

bool run_classifier_training(const ClassifierTask& task, const ClassifierOptions& classifier,
                             const ClassifierRunOptions& options) {
    classifier.validate();
    options.validate();
    if (options.ensemble == 1) {
        return Session(task, classifier, options).train();
    }
    return train_ensemble(task, classifier, options);
}

} // namespace patchforge
