#include "host/classifier/synthetic_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "host/classifier/classifier_data.h"
#include "host/classifier/classifier_scores.h"
#include "host/classifier/classifier_trainer.h"
#include "host/evaluate/patient_bootstrap.h"
#include "host/page/figure_text.h"
#include "host/page/report.h"
#include "host/page/text_table.h"

namespace patchforge {

namespace {

class Trial {
  public:
    Trial(Backend& backend, const ClassifierFormat& format, const PatchRows& test,
          std::span<const std::int32_t> patients, const ClassifierOptions& classifier,
          int resamples)
        : backend_(backend), format_(format), test_bytes_(bytes_of(test)), labels_(labels_of(test)),
          patients_(patients), classifier_(classifier), resamples_(resamples) {}

    struct Trained {
        TrainedScore score;
        std::vector<float> logits; // of the test patches
    };
    Trained train(const std::string& on, const PatchRows& patches) const {
        ClassifierTrainer trainer(backend_, classifier_, format_, patches);
        trainer.run_to_the_end();
        std::vector<float> logits = trainer.model().logits(test_bytes_);
        TrainedScore score = scored(on, patches.used(), logits, trainer.model().hash());
        return {std::move(score), std::move(logits)};
    }
    IntervalScores difference(const std::vector<float>& logits,
                              const std::vector<float>& minus) const {
        return bootstrap_scores(logits, labels_, format_.class_count(), patients_, classifier_.seed,
                                resamples_, minus);
    }
    // Certain of one class whatever it sees: its AUC is 1/2 and its balanced accuracy 1/K.
    TrainedScore guess(std::int32_t label) const {
        const auto classes = static_cast<std::size_t>(format_.class_count());
        std::vector<float> logits(labels_.size() * classes, 0.0f);
        for (std::size_t i = 0; i < labels_.size(); ++i) {
            logits[i * classes + static_cast<std::size_t>(label)] = 1;
        }
        return scored("nothing: always " + format_.class_names[label], 0, logits, "");
    }

  private:
    TrainedScore scored(const std::string& on, std::int64_t patches,
                        const std::vector<float>& logits, const std::string& hash) const {
        const IntervalScores scores = bootstrap_scores(logits, labels_, format_.class_count(),
                                                       patients_, classifier_.seed, resamples_);
        return {on,
                patches,
                score_logits(logits, labels_, format_.class_count()).accuracy,
                scores.balanced_accuracy,
                scores.auc,
                hash};
    }

    Backend& backend_;
    const ClassifierFormat& format_;
    std::vector<std::uint8_t> test_bytes_;
    std::vector<std::int32_t> labels_;
    std::span<const std::int32_t> patients_;
    const ClassifierOptions& classifier_;
    int resamples_;
};

std::int32_t majority_of(const PatchRows& patches, std::int64_t classes) {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(classes));
    for (const std::int32_t label : labels_of(patches)) {
        ++counts[label];
    }
    return static_cast<std::int32_t>(std::ranges::max_element(counts) - counts.begin());
}

const std::vector<std::string> columns_of_training = {"trained on", "patches", "accuracy",
                                                      "balanced accuracy", "AUC"};

std::vector<std::vector<std::string>> rows_of(const SyntheticTraining& result) {
    const auto text = [](const ScoreInterval& score) {
        return score_text(score.value, score.interval);
    };
    std::vector<std::vector<std::string>> rows;
    for (const TrainedScore* score : {&result.synthetic, &result.real, &result.majority}) {
        rows.push_back({score->trained_on,
                        score->patches > 0 ? std::to_string(score->patches) : undefined,
                        fmt::format("{:.3f}", score->accuracy), text(score->balanced_accuracy),
                        text(score->auc)});
    }
    return rows;
}

std::string caption_of(const SyntheticTraining& result) {
    return fmt::format(
        "One classifier, trained on labelled fakes and on as many real patches, asked about {} "
        "real patches{} that neither it nor the GAN has seen. In brackets 95 % intervals by "
        "bootstrap of {}.",
        result.test_patches,
        result.test_patients > 0 ? fmt::format(" of {} patients", result.test_patients) : "",
        result.test_patients > 0 ? "patients" : "patches");
}

} // namespace

IntervalScores bootstrap_scores(std::span<const float> logits, std::span<const std::int32_t> labels,
                                std::int64_t classes, std::span<const std::int32_t> groups,
                                std::uint64_t seed, int resamples, std::span<const float> minus) {
    const auto scores = [&](std::span<const float> of, std::span<const float> less,
                            std::span<const std::int32_t> truth) {
        ClassifierScores result = score_logits(of, truth, classes);
        if (!less.empty()) {
            const ClassifierScores other = score_logits(less, truth, classes);
            result.balanced_accuracy -= other.balanced_accuracy;
            result.auc -= other.auc;
        }
        return result;
    };
    const ClassifierScores whole = scores(logits, minus, labels);
    const RowGroups patients = rows_of_patients(groups, labels.size());
    const auto width = static_cast<std::size_t>(classes);
    std::vector<double> balanced;
    std::vector<double> auc;
    std::vector<float> drawn_logits, drawn_minus;
    std::vector<std::int32_t> drawn_labels;
    for (int resample = 0; resample < resamples; ++resample) {
        PhiloxSequence random(seed, static_cast<std::uint64_t>(resample));
        drawn_logits.clear();
        drawn_minus.clear();
        drawn_labels.clear();
        for (const std::int64_t row : resampled_rows(patients, random)) {
            const auto take = [&](std::span<const float> from, std::vector<float>& to) {
                const auto first = from.begin() + row * classes;
                to.insert(to.end(), first, first + classes);
            };
            take(logits, drawn_logits);
            if (!minus.empty()) {
                take(minus, drawn_minus);
            }
            drawn_labels.push_back(labels[row]);
        }
        std::vector<bool> present(width);
        for (const std::int32_t label : drawn_labels) {
            present[label] = true;
        }
        if (std::ranges::count(present, true) < 2) {
            continue; // one class alone has no AUC
        }
        const ClassifierScores drawn = scores(drawn_logits, drawn_minus, drawn_labels);
        balanced.push_back(drawn.balanced_accuracy);
        auc.push_back(drawn.auc);
    }
    return {{whole.balanced_accuracy, percentile_interval(balanced)},
            {whole.auc, percentile_interval(auc)}};
}

std::string synthetic_training_verdict(const SyntheticTraining& result) {
    const auto text = [](const ScoreInterval& score) {
        return fmt::format("{:+.3f} [{:+.3f}, {:+.3f}]", score.value, score.interval.low,
                           score.interval.high);
    };
    const ScoreInterval& balanced = result.balanced_accuracy_difference;
    const std::string differences = fmt::format(
        "Fakes minus real patches, on the same samples of {}: balanced accuracy {}, AUC {}",
        result.test_patients > 0 ? "patients" : "patches", text(balanced),
        text(result.auc_difference));
    if (result.test_patients > 0 && result.test_patients < least_patients) {
        return fmt::format("{}. Nothing shown: {} patients are too few, {} are asked for.",
                           differences, result.test_patients, least_patients);
    }
    return differences + (balanced.interval.high < 0 ? ". The fakes teach less than real patches."
                          : balanced.interval.low > 0
                              ? ". The fakes teach more than real patches."
                              : ". Nothing shown: the difference in balanced "
                                "accuracy may be 0, or anything in its "
                                "interval.");
}

SyntheticTraining train_on_synthetic(Backend& backend, const ClassifierFormat& format,
                                     const PatchRows& synthetic, const PatchRows& real,
                                     const PatchRows& test, std::span<const std::int32_t> patients,
                                     const ClassifierOptions& classifier,
                                     const std::function<void(const std::string&)>& progress,
                                     int resamples) {
    const auto start = std::chrono::steady_clock::now();
    const Trial trial(backend, format, test, patients, classifier, resamples);
    SyntheticTraining result;
    result.test_patches = test.used();
    result.test_patients =
        patients.empty() ? 0 : std::ssize(rows_of_patients(patients, patients.size()));
    result.seed = classifier.seed;
    progress("a classifier on fakes");
    const Trial::Trained by_fakes = trial.train("fakes", synthetic);
    progress("a classifier on real patches");
    const Trial::Trained by_real = trial.train("real patches", real);
    result.synthetic = by_fakes.score;
    result.real = by_real.score;
    const IntervalScores difference = trial.difference(by_fakes.logits, by_real.logits);
    result.balanced_accuracy_difference = difference.balanced_accuracy;
    result.auc_difference = difference.auc;
    result.majority = trial.guess(majority_of(real, format.class_count()));
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
}

SyntheticTraining train_on_fakes(Backend& backend, const PackedSet& set,
                                 const std::vector<std::int32_t>& test, const ImageSet& training,
                                 const ImageSet& generated, std::int64_t epochs, std::uint64_t seed,
                                 const std::function<void(const std::string&)>& progress) {
    const ClassifierFormat format = format_of(set);
    ClassifierOptions classifier;
    classifier.epochs = epochs;
    classifier.seed = seed;
    const std::int64_t count = std::min(generated.count(), training.count());
    const auto first = [&](const ImageSet& images) {
        return PatchRows{images.bytes.data(), count, set.channels(), set.height(), set.width(),
                         images.labels,       {}};
    };
    PatchRows asked = rows_of(set);
    asked.subset = test;
    std::vector<std::int32_t> patients;
    for (const std::int32_t row : test) {
        patients.push_back(set.patients()[row]);
    }
    return train_on_synthetic(backend, format, first(generated), first(training), asked, patients,
                              classifier, progress);
}

MetricResult synthetic_training_line(const SyntheticTraining& result) {
    MetricResult line{"tstr",
                      {},
                      result.seconds,
                      {"classifier", result.synthetic.hash},
                      result.synthetic.patches,
                      result.test_patches,
                      result.seed,
                      utc_now()};
    const auto add = [&](const std::string& name, const ScoreInterval& score) {
        append_score(line.results, name, score.value, score.interval);
    };
    const std::pair<const char*, const TrainedScore*> scores[] = {
        {"tstr", &result.synthetic}, {"trtr", &result.real}, {"majority", &result.majority}};
    for (const auto& [name, score] : scores) {
        const std::string prefix = name;
        line.results.emplace_back(prefix + "_accuracy", score->accuracy);
        add(prefix + "_balanced_accuracy", score->balanced_accuracy);
        add(prefix + "_auc", score->auc);
    }
    add("balanced_accuracy_difference", result.balanced_accuracy_difference);
    add("auc_difference", result.auc_difference);
    line.results.emplace_back("n_train_real", static_cast<double>(result.real.patches));
    line.results.emplace_back("n_test_patients", static_cast<double>(result.test_patients));
    return line;
}

std::string synthetic_training_table(const SyntheticTraining& result) {
    return caption_of(result) + "\n" + table_text(columns_of_training, rows_of(result)) +
           synthetic_training_verdict(result) + "\n";
}

void add_synthetic_training_section(Report& report, const SyntheticTraining& result) {
    report.section("Train on synthetic, test on real");
    report.lead(synthetic_training_verdict(result));
    report.table(caption_of(result), columns_of_training, rows_of(result));
}

} // namespace patchforge
