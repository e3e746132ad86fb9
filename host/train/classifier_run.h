// A whole classifier training: the trainer, its run folder, console, scores and report.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/packed_set.h"
#include "host/model/classifier_model.h"
#include "host/train/batches.h"
#include "host/train/classifier_options.h"

namespace patchforge {

struct ClassifierRunOptions {
    std::filesystem::path out;
    std::string device = "auto";
    int threads = 0;
    Placement placement = Placement::automatic;
    bool resume = false;
    int keep = 3;

    void validate() const;
};

// On K classes: accuracy; means over the classes of recall (balanced accuracy), of one-against-rest
// AUC, sensitivity and specificity. On two classes the last three speak of class 1.
struct ClassifierScores {
    double loss = 0; // mean cross-entropy
    double accuracy = 0;
    double balanced_accuracy = 0;
    double auc = 0;
    double sensitivity = 0;
    double specificity = 0;
};
// rows of the patches; patches must have labels.
ClassifierScores score_classifier(const ClassifierModel& model, const PatchRows& patches);

// The used rows' bytes [used, pixels] one after the other, and their labels.
std::vector<std::uint8_t> bytes_of(const PatchRows& patches);
std::vector<std::int32_t> labels_of(const PatchRows& patches);

// Training and test rows: by patient where patients are known, else by row (said in `how`); the
// whole of `test` when it is given.
struct ClassifierData {
    PatchRows train;
    PatchRows test;
    std::string how;
};
ClassifierData classifier_data(const PackedSet& set, const PackedSet* test, double test_patients,
                               std::uint64_t seed);

// Trains until the end, until patience ends, or until interrupted (then returns false). The weights
// with the best balanced accuracy on the test rows stand in checkpoints/best/.
bool run_classifier_training(const PackedSet& set, const PackedSet* test,
                             const ClassifierOptions& classifier,
                             const ClassifierRunOptions& options);

} // namespace patchforge
