// How well a classifier tells the classes of labelled patches apart.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "host/model/classifier_model.h"
#include "host/train/batches.h"

namespace patchforge {

// On K classes: accuracy; means over the classes of recall (balanced accuracy), of one-against-rest
// AUC, sensitivity and specificity. On two classes the last three speak of class 1. Classes without
// a patch count nowhere; where one class alone has patches the last three are NaN.
struct ClassifierScores {
    double loss = 0; // mean cross-entropy
    double accuracy = 0;
    double balanced_accuracy = 0;
    double auc = 0;
    double sensitivity = 0;
    double specificity = 0;
};

// logits [count, classes], labels [count] in [0, classes), count >= 1. Of two classes the second is
// called where its logit leads by `lead`: log(t / (1 - t)) for a threshold t of its probability.
ClassifierScores score_logits(std::span<const float> logits, std::span<const std::int32_t> labels,
                              std::int64_t classes, double lead = 0);
// The class of each, by the same rule.
std::vector<std::int32_t> called_of(std::span<const float> logits, std::int64_t classes,
                                    double lead = 0);
// Of two classes: the threshold in (0, 1) with the best balanced accuracy, halfway between the
// probabilities that it parts; of equals the nearest to 0.5. 0.5 where a class has no patch.
double best_threshold(std::span<const float> logits, std::span<const std::int32_t> labels);

// Mean over the classes that have a patch of the share of it called right.
double balanced_accuracy_of(std::span<const std::int32_t> called,
                            std::span<const std::int32_t> labels, std::int64_t classes);

} // namespace patchforge
