// A whole GAN training: the family that the loop runs, with its pictures, evaluations and report.
#pragma once

#include <cstdint>

#include "data/packed_set.h"
#include "host/gan/gan_evaluation.h"
#include "host/gan/gan_options.h"
#include "host/train/batches.h"
#include "host/train/run_options.h"

namespace patchforge {

struct GanRunOptions {
    RunOptions run;
    RunIntervals intervals;
    std::int64_t test_patients = 0;  // left out of training, chosen by the seed; 0: none
    GanEvaluationOptions evaluation; // against the patients left out, if any are
};

void describe(Options& options, GanRunOptions& run);

// Trains until the end or until interrupted, as train() says. With an evaluation interval the
// sampling generator with the least Fréchet distance so far stands in checkpoints/best/.
bool run_gan_training(const PackedSet& set, const GanOptions& gan, const GanRunOptions& options);

// Rows of a packed set for training; patients held out by `test_patients` are left out.
PatchRows training_rows(const PackedSet& set, std::int64_t test_patients, std::uint64_t seed);
// What fakes are compared with: the rows of those patients, or all rows where none are held out.
PatchRows evaluation_rows(const PackedSet& set, std::int64_t test_patients, std::uint64_t seed);

} // namespace patchforge
