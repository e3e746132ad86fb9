// The GAN's training step, recorded once and replayed. Everything an iteration changes lies on the
// device: weights, moments, the step number, the metrics.
//
// One iteration (Goodfellow et al. 2014, with the order of steps of the usual PyTorch tutorial):
//     n_critic times:  x = a batch of real patches, z fresh
//                      D on the 2B rows [x; G(z)], loss on real + loss on fake, one Adam step of D
//     once:            z fresh, D(G(z)), loss against "real", gradient through D, one Adam step of G
// D reads real and fake rows as one batch: its weights pass through memory once for both.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/model/network.h"
#include "host/train/batches.h"
#include "host/train/gan_options.h"
#include "kernels/backend.h"

namespace patchforge {

struct GanMetrics {
    double loss_d_real = 0;
    double loss_d_fake = 0;
    double probability_real = 0; // D(x)
    double probability_fake = 0; // D(G(z)), in the D step
    double accuracy_d = 0;
    double loss_g = 0;

    double loss_d() const { return loss_d_real + loss_d_fake; }
    bool finite() const;
};

NetworkShape discriminator_shape(const GanOptions& options, std::int64_t pixels);
NetworkShape generator_shape(const GanOptions& options, std::int64_t pixels);

class GanTrainer {
  public:
    // options must be valid. Weights are initialised from options.seed.
    GanTrainer(Backend& backend, const GanOptions& options, const PatchRows& patches,
               Placement placement = Placement::automatic);

    std::uint64_t step() const { return step_; } // iterations done
    std::uint64_t total_steps() const { return total_steps_; }
    std::int64_t batches_per_epoch() const { return source_->batches_per_epoch(); }
    // Iterations an epoch takes, rounded up.
    std::uint64_t steps_per_epoch() const;
    bool streamed() const { return source_->streamed(); }
    Network& generator() { return generator_; }
    Network& discriminator() { return discriminator_; }
    const GanOptions& options() const { return options_; }

    // Runs `count` iterations, at most maximum_run, and returns the metrics of each.
    static constexpr std::int64_t maximum_run = 1024;
    std::vector<GanMetrics> run(std::int64_t count);

    // The state between two iterations as files: generator.safetensors, discriminator.safetensors
    // (weights by PyTorch's names) and state.safetensors (moments and the step).
    std::map<std::string, std::vector<std::byte>> checkpoint() const;
    void restore(const std::string& folder);

  private:
    // What an iteration's recording depends on: the true rows of each draw, the slot, and how many
    // iterations are unrolled into one recording.
    struct Pattern {
        std::vector<std::int64_t> rows;
        int slot = 0;
        int unrolled = 1;
        auto operator<=>(const Pattern&) const = default;
    };
    Pattern pattern_of(std::uint64_t iteration) const;
    Recording& recording(const Pattern& pattern);
    void enqueue_iteration(const Pattern& pattern);
    void discriminator_step(std::int64_t draw, std::int64_t rows, int slot);
    void generator_step(std::int64_t rows);
    void draw_latent(Matrix<float> latent, Purpose purpose, StepCount draw);
    Adam adam(double learning_rate, StepCount step) const;

    Backend& backend_;
    GanOptions options_;
    std::int64_t pixels_;
    DeviceArray<std::uint64_t> device_step_;
    std::unique_ptr<BatchSource> source_;
    Network generator_;
    Network discriminator_;
    Pass generator_pass_;
    Pass discriminator_pass_;
    DeviceArray<float> latent_;  // [B, latent_dim]
    DeviceArray<float> samples_; // [2B, pixels]: real rows, then fakes
    DeviceArray<float> metrics_;
    DeviceArray<float> history_; // [maximum_run, metrics]
    std::map<Pattern, std::unique_ptr<Recording>> recordings_;
    std::uint64_t step_ = 0;
    std::uint64_t total_steps_ = 0;
};

} // namespace patchforge
