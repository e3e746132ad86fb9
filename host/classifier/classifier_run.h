// A whole classifier training: the trainer, its run folder, console, scores and report.
#pragma once

#include <cstdint>
#include <string>

#include "data/packed_set.h"
#include "host/classifier/classifier_data.h"
#include "host/classifier/classifier_options.h"
#include "host/model/classifier_model.h"
#include "host/run/run_folder.h"
#include "host/train/run_options.h"

namespace patchforge {

struct ClassifierRunOptions {
    RunOptions run;
    std::int64_t ensemble = 1; // members; above 1 `out` holds member_0, member_1, ...
};

void describe(Options& options, ClassifierRunOptions& run);

// What is learnt from which patches.
struct ClassifierTask {
    std::string kind; // of the run folder: "train classifier", "train detector"
    ClassifierFormat format;
    ClassifierData data;
    Parameters about; // where the data came from, for params.json; paths among it may change
};

// Where the patches of `train classifier` come from; sets must outlive the task.
struct ClassifierSets {
    const PackedSet* set = nullptr;
    const PackedSet* test = nullptr;  // instead of patients held out
    const PackedSet* extra = nullptr; // more patches to train on
};
ClassifierTask classifier_task(const ClassifierSets& sets, const ClassifierOptions& options);

// Trains until the end, until patience ends, or until interrupted (then returns false). The weights
// with the best score on the validation rows (without any, the test rows) stand in
// checkpoints/best/; the score is the balanced
// accuracy or, with adversarial training, the mean of it and of the one under that attack. With
// options.ensemble = K > 1 trains K members, with the seeds s, s + 1, ..., and writes the scores of
// their mean logit to ensemble.json. --resume skips what is done.
bool run_classifier_training(const ClassifierTask& task, const ClassifierOptions& classifier,
                             const ClassifierRunOptions& options);

} // namespace patchforge
