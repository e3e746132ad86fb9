#include "host/train/classifier_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "data/atomic_file.h"
#include "data/split.h"
#include "host/evaluate/binary_scores.h"
#include "host/files/safetensors.h"
#include "host/run/event_file.h"
#include "host/run/interrupt.h"
#include "host/run/progress.h"
#include "host/run/run_folder.h"
#include "host/train/classifier_report.h"
#include "host/train/classifier_trainer.h"

namespace patchforge {

namespace {

const std::vector<std::string> metric_columns = {
    "epoch", "train_loss", "test_loss", "accuracy", "balanced_accuracy", "auc", "sensitivity",
    "specificity"};

const std::vector<std::string> may_change = {"epochs", "patience", "keep", "data", "test", "device"};

ClassifierFormat format_of(const PackedSet& set, bool binary_head) {
    ClassifierFormat format{set.channels(), set.height(), set.width(),
                            {set.class_names().begin(), set.class_names().end()}, binary_head};
    if (format.class_count() < 2) {
        throw std::invalid_argument(fmt::format(
            "--data {}: has {} classes; give patches of at least two", set.path().string(),
            format.class_count()));
    }
    if (binary_head && format.class_count() != 2) {
        throw std::invalid_argument(fmt::format(
            "--head binary: the set has {} classes; use --head softmax", format.class_count()));
    }
    return format;
}

// The rest of what a checkpoint must hold so that a resumed run goes on as if nothing had happened.
struct Standing {
    double loss_sum = 0; // over the steps of the epoch so far
    double best = -1;    // balanced accuracy
    double best_epoch = 0;

    std::vector<std::byte> encode() const {
        Tensor tensor{"standing", "F64", {3}, std::vector<std::byte>(sizeof(Standing))};
        std::memcpy(tensor.bytes.data(), this, sizeof(Standing));
        return encode_safetensors({tensor});
    }
    static Standing decode(const TensorFile& file) {
        const Tensor& tensor = file.at("standing");
        if (tensor.bytes.size() != sizeof(Standing)) {
            throw std::runtime_error(file.name + ": tensor standing has the wrong size; resume from "
                                                 "another checkpoint");
        }
        Standing standing;
        std::memcpy(&standing, tensor.bytes.data(), sizeof(Standing));
        return standing;
    }
};

class Session {
  public:
    Session(const PackedSet& set, const PackedSet* test, const ClassifierOptions& classifier,
            const ClassifierRunOptions& options)
        : classifier_(classifier), options_(options),
          backend_(make_backend(options.device, {options.threads})),
          data_(classifier_data(set, test, classifier.test_patients, classifier.seed)),
          trainer_(*backend_, classifier, format_of(set, classifier.binary_head), data_.train,
                   options.placement),
          folder_(open_folder(set, test)), events_(folder_.path()) {
        resume();
    }

    bool train();

  private:
    RunFolder open_folder(const PackedSet& set, const PackedSet* test) const;
    void resume();
    void run_epoch();
    // Scores at the end of an epoch; true when it is the best so far.
    void finish_epoch();
    void checkpoint(bool best);
    std::int64_t epoch() const {
        return static_cast<std::int64_t>(trainer_.step()) / trainer_.batches_per_epoch();
    }
    bool at_epoch_end() const {
        return static_cast<std::int64_t>(trainer_.step()) % trainer_.batches_per_epoch() == 0;
    }
    bool out_of_patience() const {
        return classifier_.patience > 0 &&
               static_cast<double>(epoch()) - standing_.best_epoch >=
                   static_cast<double>(classifier_.patience);
    }

    ClassifierOptions classifier_;
    ClassifierRunOptions options_;
    std::unique_ptr<Backend> backend_;
    ClassifierData data_;
    ClassifierTrainer trainer_;
    RunFolder folder_;
    EventFile events_;
    Standing standing_;
    double training_seconds_ = 0;
};

RunFolder Session::open_folder(const PackedSet& set, const PackedSet* test) const {
    Parameters parameters;
    for (const auto& [name, value] : classifier_.listed()) {
        parameters.emplace_back(name, value);
    }
    parameters.emplace_back("keep", std::int64_t{options_.keep});
    parameters.emplace_back("data", set.path().string());
    parameters.emplace_back("data_hash", fmt::format("{:016x}", set.content_hash()));
    parameters.emplace_back("test", test ? test->path().string() : "");
    parameters.emplace_back("test_hash", test ? fmt::format("{:016x}", test->content_hash()) : "");
    parameters.emplace_back("split", data_.how);
    parameters.emplace_back("train_patches", data_.train.used());
    parameters.emplace_back("test_patches", data_.test.used());
    parameters.emplace_back("device", backend_->name());
    return options_.resume
               ? RunFolder::resume(options_.out, "train classifier", parameters, may_change)
               : RunFolder::create(options_.out, "train classifier", parameters);
}

void Session::resume() {
    std::int64_t keep_up_to = 0;
    if (options_.resume) {
        if (const auto last = folder_.latest_checkpoint()) {
            trainer_.restore(last->folder.string());
            standing_ = Standing::decode(read_safetensors(last->folder / "standing.safetensors"));
            keep_up_to = last->step;
            folder_.log(fmt::format("Resumed from {}", last->folder.string()));
        } else {
            folder_.log("No checkpoint yet: starting from the first step");
        }
    }
    folder_.open_metrics(metric_columns, keep_up_to);
}

void Session::run_epoch() {
    const std::int64_t per_epoch = trainer_.batches_per_epoch();
    do {
        const std::int64_t left = per_epoch - static_cast<std::int64_t>(trainer_.step()) % per_epoch;
        // 32 at a time, so that Ctrl-C is answered within the second.
        const auto start = std::chrono::steady_clock::now();
        for (const double loss : trainer_.run(std::min<std::int64_t>(left, 32))) {
            standing_.loss_sum += loss;
        }
        training_seconds_ +=
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (!std::isfinite(standing_.loss_sum)) {
            const auto last = folder_.latest_checkpoint();
            throw std::runtime_error(fmt::format(
                "{}: epoch {}: the loss is not finite; {}; lower --lr", folder_.path().string(),
                epoch() + 1,
                last ? "the last good checkpoint is " + last->folder.string()
                     : std::string("there is no checkpoint before it")));
        }
    } while (!at_epoch_end() && !interrupted());
}

void Session::finish_epoch() {
    const ClassifierScores scores = score_classifier(trainer_.model(), data_.test);
    const double train_loss =
        standing_.loss_sum / static_cast<double>(trainer_.batches_per_epoch());
    standing_.loss_sum = 0;
    const bool best = scores.balanced_accuracy > standing_.best;
    if (best) {
        standing_.best = scores.balanced_accuracy;
        standing_.best_epoch = static_cast<double>(epoch());
    }
    folder_.log(fmt::format(
        "Epoch [{}/{}], train loss {:.4f}, test loss {:.4f}, accuracy {:.4f}, balanced {:.4f}, AUC "
        "{:.4f}, sensitivity {:.4f}, specificity {:.4f}{}",
        epoch(), classifier_.epochs, train_loss, scores.loss, scores.accuracy,
        scores.balanced_accuracy, scores.auc, scores.sensitivity, scores.specificity,
        best ? " (best)" : ""));
    const auto at = static_cast<std::int64_t>(trainer_.step());
    const std::vector<double> values = {static_cast<double>(epoch()), train_loss, scores.loss,
                                        scores.accuracy, scores.balanced_accuracy, scores.auc,
                                        scores.sensitivity, scores.specificity};
    folder_.append_metrics(at, values);
    for (std::size_t i = 1; i < values.size(); ++i) {
        events_.scalar((i <= 2 ? "loss/" : "test/") + metric_columns[i], at, values[i]);
    }
    events_.flush();
    checkpoint(best);
}

void Session::checkpoint(bool best) {
    auto files = trainer_.checkpoint();
    files["standing.safetensors"] = standing_.encode();
    folder_.write_checkpoint(static_cast<std::int64_t>(trainer_.step()), files, options_.keep);
    if (best) {
        const std::filesystem::path folder = folder_.path() / "checkpoints" / "best";
        std::filesystem::create_directories(folder);
        const std::vector<std::byte>& weights = files["classifier.safetensors"];
        write_file_atomically(
            folder / "classifier.safetensors",
            {reinterpret_cast<const std::uint8_t*>(weights.data()), weights.size()});
    }
}

bool Session::train() {
    folder_.log(fmt::format("Device: {}", backend_->description()));
    folder_.log(fmt::format("Data: {} patches to train, {} to test ({})", data_.train.used(),
                            data_.test.used(), data_.how));
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
    // What training cost, for tables of defences. Of this process: a resumed run counts its own part.
    write_file_atomically(folder_.path() / "timing.json",
                          fmt::format("{{\"training_seconds\": {:.3f}, \"steps\": {}}}\n",
                                      training_seconds_, trainer_.step()));
    write_classifier_report(folder_.path(), training_seconds_);
    if (trainer_.step() < trainer_.total_steps() && !out_of_patience()) {
        folder_.log(fmt::format("Interrupted in epoch {} of {}; everything is saved. Go on with the "
                                "same command and --resume",
                                epoch() + 1, classifier_.epochs));
        return false;
    }
    folder_.log(fmt::format("Best balanced accuracy on the test patches: {:.4f} (epoch {})",
                            standing_.best, standing_.best_epoch));
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
}

std::vector<std::uint8_t> bytes_of(const PatchRows& patches) {
    const auto width = static_cast<std::size_t>(patches.pixels_per_patch());
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(patches.used()) * width);
    for (std::int64_t i = 0; i < patches.used(); ++i) {
        std::memcpy(bytes.data() + static_cast<std::size_t>(i) * width,
                    patches.pixels + static_cast<std::size_t>(patches.row(i)) * width, width);
    }
    return bytes;
}

std::vector<std::int32_t> labels_of(const PatchRows& patches) {
    std::vector<std::int32_t> labels;
    for (std::int64_t i = 0; i < patches.used(); ++i) {
        labels.push_back(patches.labels[static_cast<std::size_t>(patches.row(i))]);
    }
    return labels;
}

ClassifierScores score_classifier(const ClassifierModel& model, const PatchRows& patches) {
    const std::vector<float> logits = model.logits(bytes_of(patches));
    const std::vector<std::int32_t> labels = labels_of(patches);
    const std::int64_t classes = model.class_count();
    const std::vector<float> probabilities = softmax_of(logits, classes);
    const std::vector<std::int32_t> called = argmax_of(logits, classes);
    ClassifierScores scores;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const float* row = logits.data() + static_cast<std::int64_t>(i) * classes;
        const double largest = *std::max_element(row, row + classes);
        double sum = 0;
        for (std::int64_t k = 0; k < classes; ++k) {
            sum += std::exp(row[k] - largest);
        }
        scores.loss += largest + std::log(sum) - row[labels[i]];
        scores.accuracy += called[i] == labels[i];
    }
    const auto count = static_cast<double>(labels.size());
    scores.loss /= count;
    scores.accuracy /= count;

    double recalls = 0;
    const std::int64_t first = classes == 2 ? 1 : 0; // two classes: class 1 speaks for both
    for (std::int64_t k = first; k < classes; ++k) {
        std::vector<float> score;
        std::vector<float> hit;
        std::vector<std::uint8_t> positive;
        for (std::size_t i = 0; i < labels.size(); ++i) {
            score.push_back(probabilities[i * static_cast<std::size_t>(classes) +
                                          static_cast<std::size_t>(k)]);
            hit.push_back(called[i] == k ? 1.0f : 0.0f);
            positive.push_back(labels[i] == k);
        }
        const BinaryScores one = binary_scores(hit, positive);
        const double share = 1.0 / static_cast<double>(classes - first);
        scores.auc += area_under_curve(score, positive) * share;
        scores.sensitivity += one.sensitivity * share;
        scores.specificity += one.specificity * share;
        recalls += classes == 2 ? one.balanced_accuracy : one.sensitivity * share;
    }
    scores.balanced_accuracy = recalls;
    return scores;
}

ClassifierData classifier_data(const PackedSet& set, const PackedSet* test, double test_patients,
                               std::uint64_t seed) {
    const auto rows = [](const PackedSet& from) {
        return PatchRows{from.pixels(), from.count(), from.channels(), from.height(), from.width(),
                         from.labels(), {}};
    };
    ClassifierData data{rows(set), rows(test ? *test : set), "a set of its own"};
    if (test) {
        if (test->channels() != set.channels() || test->height() != set.height() ||
            test->width() != set.width() ||
            !std::ranges::equal(test->class_names(), set.class_names())) {
            throw std::invalid_argument(fmt::format(
                "--test {}: its patches or classes are not those of --data {}; give a set of the same "
                "kind",
                test->path().string(), set.path().string()));
        }
        return data;
    }
    SplitOptions split{.seed = seed};
    if (test_patients < 1) {
        split.test_fraction = test_patients;
    } else {
        split.test_patients = std::llround(test_patients);
    }
    Split sides;
    if (!set.patient_names().empty()) {
        sides = split_by_patient(set, split);
        data.how = fmt::format("{} patients held out", sides.test_patients.size());
    } else {
        if (test_patients >= 1) {
            throw std::invalid_argument(fmt::format(
                "--test-patients {}: the set knows no patients; give a share below 1 or --test",
                test_patients));
        }
        sides = split_by_row(set, split);
        data.how = "patches held out: the set knows no patients";
    }
    data.train.subset = sides.train;
    data.test.subset = sides.test;
    return data;
}

bool run_classifier_training(const PackedSet& set, const PackedSet* test,
                             const ClassifierOptions& classifier,
                             const ClassifierRunOptions& options) {
    classifier.validate();
    options.validate();
    return Session(set, test, classifier, options).train();
}

} // namespace patchforge
