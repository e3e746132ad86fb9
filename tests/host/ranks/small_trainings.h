// Small trainings whose batches are cut into shards.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "host/classifier/classifier_trainer.h"
#include "host/gan/gan_trainer.h"
#include "host/translate/cycle_trainer.h"
#include "host/translate/refine_trainer.h"
#include "tests/host/train/random_patches.h"

namespace patchforge::testing {

constexpr unsigned seed_of_trainings = 161;

struct TrainingResult {
    std::map<std::string, std::vector<std::byte>> files;
    std::vector<std::vector<double>> metrics;
    bool operator==(const TrainingResult&) const = default;
};

inline GanOptions gan_options() {
    GanOptions options;
    options.batch_size = 8;
    options.latent_dim = 5;
    options.hidden_dims = {33, 16};
    options.seed = seed_of_trainings;
    options.steps = 100;
    return options;
}

// 19 rows in batches of 8: of the last batch of an epoch one shard is whole, one half and two are empty.
inline TrainingResult trained_gan(const GanOptions& options, Backend& backend,
                                  const Sharding& sharding,
                                  Placement placement = Placement::automatic, int steps = 7) {
    const RandomPatches patches(seed_of_trainings, 19, 1, 5, 7, 2);
    GanTrainer trainer(backend, options, patches.rows, placement, sharding);
    TrainingResult result;
    for (const int count : {1, steps - 1}) {
        for (const GanMetrics& metrics : trainer.run(count)) {
            result.metrics.push_back(metrics.values(options));
        }
    }
    result.files = trainer.checkpoint();
    return result;
}

inline ClassifierOptions classifier_options() {
    ClassifierOptions options;
    options.batch_size = 8;
    options.hidden_dims = {33, 16};
    options.learning_rate = 1e-3;
    options.seed = seed_of_trainings;
    return options;
}

inline TrainingResult trained_classifier(const ClassifierOptions& options, Backend& backend,
                                         const Sharding& sharding, int steps = 7) {
    const RandomPatches patches(seed_of_trainings, 19, 1, 6, 6, 3);
    ClassifierTrainer trainer(backend, options, {1, 6, 6, {"a", "b", "c"}, false}, patches.rows,
                              Placement::automatic, sharding);
    TrainingResult result;
    for (const ClassifierStep& step : trainer.run(steps)) {
        result.metrics.push_back({step.loss, step.adversarial_loss, step.logit_distance});
    }
    result.files = trainer.checkpoint();
    return result;
}

// With a pool, which knows of a whole batch: of cycles or of refined drawings. Batches of 4.
inline TranslateOptions translation_options(TranslationMode mode) {
    TranslateOptions options;
    choose_mode(options, mode);
    options.width = options.width_d = 2;
    options.blocks = options.layers_d = 1;
    options.batch_size = 4;
    options.pool = 5;
    options.refiner_steps = 2;
    options.flips = false; // what is drawn for rows depends on the shards
    options.steps = 100;
    options.seed = seed_of_trainings;
    return options;
}

// The networks of the preset refine, which look at several sizes.
inline TranslateOptions refine_at_scales() {
    TranslateOptions options = translation_options(TranslationMode::refine);
    options.generator = GeneratorKind::refiner_scales;
    options.discriminator = Judging::two_scales;
    return options;
}

inline TrainingResult trained_translation(const TranslateOptions& options, Backend& backend,
                                          const Sharding& sharding, int steps = 5) {
    const RandomPatches a(seed_of_trainings, 9, 1, 10, 10), b(seed_of_trainings + 1, 7, 1, 10, 10);
    std::unique_ptr<TranslationTrainer> trainer;
    if (options.mode == TranslationMode::cycle) {
        trainer = std::make_unique<CycleTrainer>(backend, options, a.rows, b.rows, sharding);
    } else {
        trainer = std::make_unique<RefineTrainer>(backend, options, a.rows, b.rows, sharding);
    }
    TrainingResult result;
    result.metrics = trainer->run(steps);
    result.files = trainer->checkpoint();
    return result;
}

} // namespace patchforge::testing
