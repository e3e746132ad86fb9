// A whole `train translate` run: the family that the loop runs.
#pragma once

#include "host/train/run_options.h"
#include "host/translate/translation_task.h"

namespace patchforge {

struct TranslateRunOptions {
    RunOptions run;
    RunIntervals intervals = {.log = 100, .sample = 500, .checkpoint = 1000};
};

void describe(Options& options, TranslateRunOptions& run);

// Trains until the end or until interrupted, as train() says.
bool run_translate_training(const TranslateSets& sets, const TranslateOptions& translate,
                            const TranslateRunOptions& options);

} // namespace patchforge
