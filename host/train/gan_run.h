// A whole GAN training: the trainer, its run folder, console, pictures, checkpoints and report.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/packed_set.h"
#include "host/train/batches.h"
#include "host/train/gan_evaluation.h"
#include "host/train/gan_options.h"
#include "kernels/backend.h"

namespace patchforge {

struct GanRunOptions {
    std::filesystem::path out;
    std::string device = "auto";
    BackendOptions backend;
    Placement placement = Placement::automatic;
    bool resume = false;
    std::int64_t log_interval = 200;         // iterations
    std::int64_t sample_interval = 1000;     // iterations; 0: only at the end
    std::int64_t checkpoint_interval = 2000; // iterations; 0: only at the end
    int keep = 3;                            // checkpoints
    std::int64_t test_patients = 0;          // left out of training, chosen by the seed; 0: none
    GanEvaluationOptions evaluation;         // against the patients left out, if any are

    void validate() const;
};

// Trains until the end or until interrupted; either way the run folder is complete then. With an
// evaluation interval the sampling generator with the least Fréchet distance so far stands in
// checkpoints/best/. Returns false when interrupted. Throws std::runtime_error when a loss is not
// finite, naming the step and the last good checkpoint.
bool run_gan_training(const PackedSet& set, const GanOptions& gan, const GanRunOptions& options);

// Rows of a packed set for training; patients held out by `test_patients` are left out.
PatchRows training_rows(const PackedSet& set, std::int64_t test_patients, std::uint64_t seed);
// What fakes are compared with: the rows of those patients, or all rows where none are held out.
PatchRows evaluation_rows(const PackedSet& set, std::int64_t test_patients, std::uint64_t seed);

} // namespace patchforge
