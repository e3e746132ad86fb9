// Whole training iterations of a plain GAN in one call, for devices on which one kernel can keep the
// weights of both wide layers beside its arithmetic (docs/persistent.md). The same iteration as
// host/gan/gan_trainer.h records, with the same random numbers; only the order of sums differs.
#pragma once

#include <string>

#include "kernels/operations/activation.h"
#include "kernels/operations/batch.h"
#include "kernels/operations/loss.h"
#include "kernels/operations/optimiser.h"

namespace patchforge {

// A trained layer: weight [O * I] as PyTorch keeps it, bias [O].
struct TrainedLayer {
    AdamTensor weight;
    AdamTensor bias;
    Activation activation = Activation::identity;
    float slope = 0;
    float dropout = 0;
};

// G: latent -> hidden -> hidden -> pixels. D: pixels -> hidden -> hidden -> 1 logit.
struct GanIterations {
    TrainedLayer generator[3], discriminator[3];
    std::int64_t latent = 0;
    std::int64_t hidden = 0;
    std::int64_t pixels = 0;

    std::int64_t rows = 0; // B: true rows of every batch; G draws 2 B codes, D's step sees 2 B rows
    const std::uint8_t* patches = nullptr; // [any, pixels]
    BatchPlan plan{};                      // shuffled or sequential; draw.stride 1
    std::uint64_t seed = 0;
    bool normal_codes = true; // N(0, 1), or uniform in [-1, 1]

    GanLoss loss = GanLoss::non_saturating;
    float real_label = 1;
    Adam adam_d{}, adam_g{}; // their step is `step`

    std::uint64_t* step = nullptr; // on the device; as many more afterwards as iterations were run
    // [capacity, columns >= DiscriminatorMetrics::count + GeneratorMetrics::count]: row
    // *step % capacity of an iteration takes D's metrics, G's, and zeros.
    Matrix<float> history;
};

struct GanIterationOperations {
    virtual ~GanIterationOperations() = default;

    // Empty if this device can run `job`; else what stands against it: "it takes ..., not ...".
    virtual std::string why_no_gan_iterations(const GanIterations& job) const = 0;

    // Runs `count` iterations. std::invalid_argument with the reason if the device cannot.
    // Must not be recorded. The same bits however the iterations are divided among calls.
    virtual void gan_iterations(const GanIterations& job, std::int64_t count) = 0;
};

} // namespace patchforge
