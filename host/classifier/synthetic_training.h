// Train on synthetic, test on real: are labelled fakes good enough to teach a classifier? The same
// classifier is trained once on fakes and once on as many real patches, and both are asked about
// real patches that neither has seen. What guessing gives stands beside them.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "host/classifier/classifier_options.h"
#include "host/evaluate/binary_scores.h"
#include "host/evaluate/image_extractors.h"
#include "host/evaluate/metric_lines.h"
#include "host/model/classifier_model.h"
#include "host/run/progress.h"
#include "host/train/batches.h"
#include "kernels/backend.h"

namespace patchforge {

class PackedSet;
class Report;

struct ScoreInterval {
    double value = 0;
    Interval interval{}; // 95 %
};

struct TrainedScore {
    std::string trained_on; // "fakes", "real patches", "nothing: the majority"
    std::int64_t patches = 0;
    double accuracy = 0;
    ScoreInterval balanced_accuracy{};
    ScoreInterval auc{}; // mean over the classes of one against the rest; of two: of class 1
    std::string hash{};  // of the classifier's weights
};

struct SyntheticTraining {
    TrainedScore synthetic;
    TrainedScore real;
    TrainedScore majority; // calls everything the class that most real training patches have
    // Of `synthetic` minus `real`, on the same bootstrap samples: intervals of two scores overlap widely
    // where every sample of patients favours one of them.
    ScoreInterval balanced_accuracy_difference{};
    ScoreInterval auc_difference{};
    std::int64_t test_patches = 0;
    std::int64_t test_patients = 0; // 0: not known, patches were drawn instead
    std::uint64_t seed = 0;
    double seconds = 0;
};

// Intervals are percentiles of `resamples` bootstrap samples of whole patients (`patients`: one
// number a test patch, or empty: of single patches), because patches of one patient are alike. The
// weights are those of the last epoch: nothing is chosen by looking at the test patches.
//
// All rows need labels in [0, classes); `synthetic` and `real` should be equally many.
// classifier.seed is that of both trainings. Throws std::invalid_argument as ClassifierTrainer
// does.
SyntheticTraining
train_on_synthetic(Backend& backend, const ClassifierFormat& format, const PatchRows& synthetic,
                   const PatchRows& real, const PatchRows& test,
                   std::span<const std::int32_t> patients, const ClassifierOptions& classifier,
                   const std::function<void(const std::string&)>& progress = say_nothing,
                   int resamples = 1000);

// The same of labelled pictures, as many of both kinds as the fewer are: the rows `test` of the set
// are asked about, and its classes are the classifier's, which else has the usual options.
SyntheticTraining
train_on_fakes(Backend& backend, const PackedSet& set, const std::vector<std::int32_t>& test,
               const ImageSet& training, const ImageSet& generated, std::int64_t epochs,
               std::uint64_t seed,
               const std::function<void(const std::string&)>& progress = say_nothing);

// Balanced accuracy and AUC of class logits [count, classes], with intervals as above. Those of `minus`,
// other logits of the same patches, are taken off where given, sample by sample.
struct IntervalScores {
    ScoreInterval balanced_accuracy, auc;
};
IntervalScores bootstrap_scores(std::span<const float> logits, std::span<const std::int32_t> labels,
                                std::int64_t classes, std::span<const std::int32_t> groups,
                                std::uint64_t seed, int resamples,
                                std::span<const float> minus = {});

// A bootstrap of fewer patients says nothing of others.
constexpr std::int64_t least_patients = 10;
// What the differences show, in a sentence: less, more, or nothing.
std::string synthetic_training_verdict(const SyntheticTraining& result);

// The line `tstr`: every score above as tstr_..., trtr_... and majority_....
MetricResult synthetic_training_line(const SyntheticTraining& result);
std::string synthetic_training_table(const SyntheticTraining& result);
void add_synthetic_training_section(Report& report, const SyntheticTraining& result);

} // namespace patchforge
