// Train on synthetic, test on real: fakes that teach the truth, fakes that teach the opposite.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "host/classifier/synthetic_training.h"
#include "tests/host/evaluate/images.h"

namespace patchforge {
namespace {

constexpr int size = 8;

PatchRows rows_of(const ImageSet& images) {
    return {images.bytes.data(), images.count(), 3, size, size, images.labels, {}};
}

ClassifierOptions small_classifier() {
    ClassifierOptions options;
    options.hidden_dims = {32};
    options.dropout = 0;
    options.learning_rate = 3e-3;
    options.batch_size = 20;
    options.epochs = 30;
    options.seed = 3;
    return options;
}

double result_of(const MetricResult& line, const std::string& name) {
    const auto found =
        std::ranges::find_if(line.results, [&](const auto& one) { return one.first == name; });
    return found == line.results.end() ? std::nan("") : found->second;
}

TEST(SyntheticTraining, FakesTeachWhatTheyShow) {
    const auto backend = make_backend("cpu", {});
    const ClassifierFormat format{3, size, size, {"small", "large"}, false};
    const ImageSet real = discs(200, size, 1), test = discs(120, size, 2);
    ImageSet fakes = discs(200, size, 3);
    std::vector<std::int32_t> patients;
    for (std::int32_t i = 0; i < 120; ++i) {
        patients.push_back(i / 12);
    }
    const auto trial = [&] {
        return train_on_synthetic(*backend, format, rows_of(fakes), rows_of(real), rows_of(test),
                                  patients, small_classifier(), say_nothing, 200);
    };
    const SyntheticTraining good = trial();
    EXPECT_TRUE(good.synthetic.balanced_accuracy.value > 0.9)
        << good.synthetic.balanced_accuracy.value;
    EXPECT_TRUE(good.real.balanced_accuracy.value > 0.9) << good.real.balanced_accuracy.value;
    EXPECT_EQ(good.majority.balanced_accuracy.value, 0.5);
    EXPECT_EQ(good.majority.auc.value, 0.5);
    EXPECT_EQ(good.majority.accuracy, 0.5);
    EXPECT_EQ(good.test_patients, 10);
    EXPECT_EQ(good.test_patches, 120);
    for (const ScoreInterval& score :
         {good.synthetic.balanced_accuracy, good.synthetic.auc, good.real.auc}) {
        EXPECT_TRUE(score.interval.low <= score.value && score.value <= score.interval.high);
    }

    for (std::int32_t& label : fakes.labels) {
        label = 1 - label;
    }
    const SyntheticTraining opposite = trial();
    EXPECT_TRUE(opposite.synthetic.balanced_accuracy.value < 0.1);
    EXPECT_TRUE(opposite.synthetic.auc.value < 0.1);
    EXPECT_EQ(opposite.real.hash, good.real.hash); // the fakes do not reach it
    EXPECT_NE(opposite.synthetic.hash, good.synthetic.hash);

    const MetricResult line = synthetic_training_line(good);
    EXPECT_EQ(metric_file(line), "metric-tstr.jsonl");
    EXPECT_EQ(result_of(line, "tstr_balanced_accuracy"), good.synthetic.balanced_accuracy.value);
    EXPECT_EQ(result_of(line, "trtr_auc_low"), good.real.auc.interval.low);
    EXPECT_EQ(result_of(line, "majority_balanced_accuracy"), 0.5);
    EXPECT_EQ(line.n_generated, 200);
    EXPECT_EQ(line.n_reference, 120);
    EXPECT_EQ(line.extractor.hash, good.synthetic.hash);
    const std::string table = synthetic_training_table(good);
    for (const char* part : {"120 real patches of 10 patients", "fakes", "real patches",
                             "nothing: always small", "0.500 [0.500, 0.500]"}) {
        EXPECT_NE(table.find(part), std::string::npos) << part << "\n" << table;
    }
}

// Two patients, one all right and one all wrong: of two drawn with replacement both are the same
// one half of the time, so the interval is everything; of 80 single patches hardly any sample is
// far from one half.
TEST(SyntheticTraining, IntervalsDrawWholePatients) {
    std::vector<float> logits;
    std::vector<std::int32_t> labels, patients;
    for (std::int32_t i = 0; i < 80; ++i) {
        const std::int32_t label = i % 2, called = i < 40 ? label : 1 - label;
        logits.insert(logits.end(), {called == 0 ? 1.0f : 0.0f, called == 1 ? 1.0f : 0.0f});
        labels.push_back(label);
        patients.push_back(i < 40 ? 7 : 3);
    }
    const IntervalScores by_patient = bootstrap_scores(logits, labels, 2, patients, 1, 400);
    EXPECT_EQ(by_patient.balanced_accuracy.value, 0.5);
    EXPECT_EQ(by_patient.balanced_accuracy.interval.low, 0);
    EXPECT_EQ(by_patient.balanced_accuracy.interval.high, 1);
    EXPECT_EQ(by_patient.auc.interval.low, 0);
    EXPECT_EQ(by_patient.auc.interval.high, 1);
    const IntervalScores by_patch = bootstrap_scores(logits, labels, 2, {}, 1, 400);
    EXPECT_TRUE(by_patch.balanced_accuracy.interval.low > 0.3);
    EXPECT_TRUE(by_patch.balanced_accuracy.interval.high < 0.7);
    EXPECT_TRUE(by_patch.balanced_accuracy.interval.low < 0.45); // 0.5 - 1.96 / sqrt(320) = 0.39
    EXPECT_TRUE(by_patch.balanced_accuracy.interval.high > 0.55);
}

// Twelve patients of very different difficulty, each a little easier for one of two classifiers: both
// intervals are wide and share most of their range, that of the difference is narrow and above 0.
TEST(SyntheticTraining, DifferencesArePaired) {
    std::vector<float> better, worse;
    std::vector<std::int32_t> labels, patients;
    const auto say = [](std::vector<float>& logits, std::int32_t called) {
        logits.insert(logits.end(), {called == 0 ? 1.0f : 0.0f, called == 1 ? 1.0f : 0.0f});
    };
    for (std::int32_t patient = 0; patient < 12; ++patient) {
        for (std::int32_t i = 0; i < 40; ++i) {
            const std::int32_t label = i % 2;
            const std::int32_t wrong = 2 + 3 * patient; // of 40
            say(worse, i < wrong ? 1 - label : label);
            say(better, i < wrong - 2 ? 1 - label : label);
            labels.push_back(label);
            patients.push_back(patient);
        }
    }
    const auto of = [&](const std::vector<float>& logits, const std::vector<float>& minus) {
        return bootstrap_scores(logits, labels, 2, patients, 1, 400, minus).balanced_accuracy;
    };
    const ScoreInterval a = of(better, {}), b = of(worse, {}), difference = of(better, worse);
    EXPECT_TRUE(a.interval.low < b.interval.high - 0.1);
    EXPECT_TRUE(std::abs(difference.value - (a.value - b.value)) <= 1e-12);
    EXPECT_TRUE(difference.interval.low > 0.04 && difference.interval.high < 0.06)
        << difference.interval.low << " " << difference.interval.high;

    SyntheticTraining result;
    result.test_patients = 12;
    result.balanced_accuracy_difference = difference;
    EXPECT_NE(synthetic_training_verdict(result).find("teach more"), std::string::npos);
    result.balanced_accuracy_difference.interval = {-0.01, 0.06};
    EXPECT_NE(synthetic_training_verdict(result).find("Nothing shown"), std::string::npos);
    result.balanced_accuracy_difference.interval = {-0.2, -0.1};
    EXPECT_NE(synthetic_training_verdict(result).find("teach less"), std::string::npos);
    result.test_patients = 3; // of three patients an interval says nothing
    EXPECT_NE(synthetic_training_verdict(result).find("Nothing shown: 3 patients are too few"),
              std::string::npos);
}

// Samples that hold one class alone have no AUC and are passed over.
TEST(SyntheticTraining, IntervalsNeedBothClasses) {
    const std::vector<float> logits = {1, 0, 0, 1, 1, 0, 0, 1};
    const std::vector<std::int32_t> labels = {0, 1, 0, 1}, patients = {0, 1, 0, 1};
    const IntervalScores scores = bootstrap_scores(logits, labels, 2, patients, 1, 100);
    EXPECT_EQ(scores.auc.interval.low, 1);
    EXPECT_EQ(scores.balanced_accuracy.interval.low, 1);
}

} // namespace
} // namespace patchforge
