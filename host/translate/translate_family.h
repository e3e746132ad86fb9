// A whole `train translate` run: the family that the loop runs.
#pragma once

#include "host/train/run_options.h"
#include "host/translate/translation_task.h"

namespace patchforge {

struct TranslateRunOptions {
    RunOptions run;
    std::int64_t log_interval = 100;         // iterations
    std::int64_t sample_interval = 500;      // iterations; 0: only at the end
    std::int64_t checkpoint_interval = 1000; // iterations; 0: only at the end
};

void describe(Options& options, TranslateRunOptions& run);

// Trains until the end or until interrupted, as train() says.
bool run_translate_training(const TranslateSets& sets, const TranslateOptions& translate,
                            const TranslateRunOptions& options);

} // namespace patchforge
