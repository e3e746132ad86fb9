// The GAN's training step, recorded once and replayed. Everything an iteration changes lies on the
// device: weights, moments, the step number, the metrics.
//
// One iteration (Goodfellow et al. 2014, with the order of steps of the usual PyTorch tutorial):
//     n_critic times:  x = a batch of real patches, z fresh
//                      D on the 2B rows [x; G(z)], loss on real + loss on fake, one Adam step of D
//     once:            z fresh, D(G(z)), loss against "real", gradient through D, one Adam step of
//                      G
// D reads real and fake rows as one batch: its weights pass through memory once for both. With one
// D step an iteration, G makes the fakes of both steps in one pass: nothing changes it in between.
// A plain run's gradients go straight into Adam; terms that add to a gradient (a penalty,
// historical averaging) and layers with statistics take the way over a gradient in memory.
// With options.persistent one kernel runs the iterations (docs/persistent.md).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/gan/gan_networks.h"
#include "host/gan/gan_options.h"
#include "host/gan/gradient_penalty.h"
#include "host/network/class_columns.h"
#include "host/network/trace.h"
#include "host/train/average.h"
#include "host/train/head_losses.h"
#include "host/train/iterations.h"
#include "host/train/optimiser.h"
#include "kernels/backend.h"

namespace patchforge {

struct GanMetrics {
    double loss_d_real = 0;
    double loss_d_fake = 0;
    double probability_real = 0; // D(x)
    double probability_fake = 0; // D(G(z)), in the D step
    double accuracy_d = 0;
    double loss_g = 0;
    double gradient_penalty = 0; // weighted, as it enters D's loss beside the two terms above
    double pixel_distance = 0;   // mean |G(z) - x|, unweighted
    double loss_d_wrong =
        0; // D's loss on patches with a wrong class, within loss_d_fake by its share
    double divergence = 0; // of the codes around the means of the classes, unweighted

    double loss_d() const { return loss_d_real + loss_d_fake; }

    // The same by name, in this order; the last two where the options ask for one of them.
    static std::vector<std::string> names(const GanOptions& options);
    std::vector<double> values(const GanOptions& options) const;
};

// Of the patches used, where options.conditional; 0: nobody asks. std::invalid_argument where one has none.
std::int64_t classes_of(const GanOptions& options, const PatchRows& patches);

class GanTrainer {
  public:
    // options must be valid. Weights are initialised from options.seed.
    GanTrainer(Backend& backend, const GanOptions& options, const PatchRows& patches,
               Placement placement = Placement::automatic, const Sharding& sharding = {});

    std::uint64_t step() const { return iterations_.step(); } // iterations done
    std::uint64_t total_steps() const { return total_steps_; }
    std::int64_t batches_per_epoch() const { return iterations_.source().batches_per_epoch(); }
    // Iterations an epoch takes, rounded up.
    std::uint64_t steps_per_epoch() const { return iterations_.per_epoch(); }
    bool streamed() const { return iterations_.source().streamed(); }
    Network& generator() { return generator_; }
    Network& discriminator() { return discriminator_; }
    // What samples come from: the average of the generator's weights, if one is kept.
    Network& sampling_generator() { return average_.network(); }
    // Works out the averaged generator's statistics, where --ema-statistics asks for it: before
    // samples, scores and checkpoints. They are functions of its weights alone; classes come in turn.
    void settle_average();
    std::int64_t classes() const { return classes_; } // of a conditional GAN, else 0
    const GanOptions& options() const { return options_; }

    // Runs `count` iterations, at most maximum_run, and returns the metrics of each.
    static constexpr std::int64_t maximum_run = Iterations::maximum_run;
    std::vector<GanMetrics> run(std::int64_t count);

    void draw_latent(Matrix<float> latent, Purpose purpose, StepCount draw);

    // Records the next iteration and forgets it again: for `plan`, which looks at what is recorded.
    void record_iteration() { iterations_.record_next(); }

    // The state between two iterations as files: generator.safetensors, discriminator.safetensors
    // (weights by PyTorch's names), generator_ema.safetensors if an average is kept, and
    // state.safetensors (moments, means of historical averaging, the step).
    std::map<std::string, std::vector<std::byte>> checkpoint() const;
    void restore(const std::string& folder);

  private:
    void enqueue_iteration(const IterationPattern& pattern);
    // The same iterations for one kernel, with `rows` true rows a batch.
    GanIterations persistent_iterations(std::int64_t rows) const;
    // std::invalid_argument saying what stands against it.
    void require_persistent() const;
    // Of a batch or a shard of it: up to the gradient by the network's output.
    ShardPass discriminator_pass(std::int64_t draw, std::int64_t rows, int slot);
    ShardPass generator_pass(std::int64_t rows, int slot);
    void set_reference_rows(const PatchRows& patches);
    void schedule_rates();

    // Patches of draw `draw` into rows of samples_ from `first` on, their labels into labels_.
    void draw_patches(std::int64_t first, std::int64_t rows, std::int64_t draw, int slot);
    // Codes of the current shard, out of those of the whole batch.
    void draw_codes(Matrix<float> latent, Purpose purpose, StepCount draw);
    // G of fresh codes into rows of samples_ from `first` on; step: 0, 1, ... of D, then G's.
    void draw_fakes(std::int64_t first, std::int64_t rows, Purpose purpose, StepCount draw,
                    std::int64_t step);
    // For both steps at once, where nothing changes G or looks at its batch in between: patches in
    // rows 0 to B of samples_, fakes for D's step behind them, fakes for G's step at the end.
    void draw_fakes_of_both_steps(std::int64_t rows);
    // What D is shown of the first `rows` rows of samples_: with noise, moved, with class columns.
    // step as above.
    Matrix<const float> shown(std::int64_t rows, std::int64_t step);
    // The first `rows` of them again, before class columns.
    Matrix<const float> seen(std::int64_t rows) const {
        return (options_.augments()           ? moved_
                : options_.instance_noise > 0 ? noisy_
                                              : samples_)
            .matrix(rows, pixels_);
    }
    RandomStream augmentation(std::uint32_t use, std::int64_t step) const;
    // Sums over the heads of D. The metrics of probabilities are the last one's.
    void discriminator_losses(std::int64_t rows);
    void generator_losses(std::int64_t rows);
    // The same patches as D was shown them, each with a class that it does not have, are fakes, too. With H
    // heads D minimises the mean of H terms of real and of H + 1 of fake ones: the last head alone is asked
    // about the class (Zhang et al. 2017).
    void add_wrong_pairs(Vector<float> gradients, Vector<float> metric, std::int64_t rows,
                         std::int64_t draw);
    void weigh_terms(std::int64_t rows);
    double share_of_fakes() const {
        return 1.0 / static_cast<double>(discriminator_.shape().heads().size() + 1);
    }
    void add_gradient_penalty(Vector<float> gradients, std::int64_t rows, StepCount draw);
    // From D's last hidden layer: the difference of the means over fakes and over patches.
    void match_features(std::int64_t rows);
    // That layer, without what follows it.
    std::int64_t last_hidden() const {
        const std::int64_t before = discriminator_.layer_count() - 2;
        const bool follows = discriminator_.shape().layers[before].follows();
        return follows ? before - 1 : before;
    }
    // The gradient by the fakes, at the output of G's last Linear.
    void generator_output_gradient(std::int64_t rows, std::int64_t from);

    static constexpr std::int64_t statistics_rows = 64; // of a batch of settle_average

    Backend& backend_;
    GanOptions options_;
    std::int64_t pixels_;
    Extent pictures_{};
    std::int64_t classes_ = 0;
    Iterations iterations_;
    std::int64_t batch_;           // rows of a full batch, or of a full shard of one
    std::int64_t reference_d_ = 0; // rows of a virtual batch, before all others
    std::int64_t reference_g_ = 0;
    GanShapes shapes_;
    bool fakes_together_ = false; // draw_fakes_of_both_steps
    Network generator_;
    Network discriminator_;
    Average average_;
    Optimiser optimiser_g_;
    Optimiser optimiser_d_;
    Trace generator_pass_;
    Trace discriminator_pass_;
    std::unique_ptr<GradientPenalty> penalty_;
    DeviceArray<float> latent_; // [reference + B, latent_dim + classes], or of both steps
    DeviceArray<float>
        samples_; // [reference + 2B, pixels]: D step: patches, then fakes; G step: fakes
    // Only where the options need them:
    std::int64_t condition_ = -1;            // condition_layer() of G, which --lambda-kl pulls at
    std::unique_ptr<Trace> wrong_pass_;      // D of wrong pairs
    DeviceArray<std::int32_t> wrong_labels_; // [B]
    DeviceArray<float> wrong_answers_; // [4 B, answers]: twice the logits, the gradients by them
    DeviceArray<float> wrong_metrics_;
    DeviceArray<float> drawn_latent_;  // [B, latent_dim], before class columns
    DeviceArray<float> batch_latent_;  // [B, latent_dim] of all shards
    DeviceArray<float> noisy_;         // as samples_
    DeviceArray<float> drawn_patches_; // [B, pixels], before symmetries; noise
    DeviceArray<float> moved_;         // as samples_
    HeadLosses head_losses_{discriminator_, DiscriminatorMetrics::count};
    std::unique_ptr<Trace> average_pass_;   // for settle_average
    ClassColumns class_columns_;            // of [reference + 2B] rows; then of each term's [B]
    DeviceArray<float> d_inputs_;           // what D reads of them
    DeviceArray<float> between_;            // [B, pixels]: where the slope is penalised
    DeviceArray<float> row_values_;         // [B]
    DeviceArray<float> ones_;               // [B]
    DeviceArray<float> feature_means_;      // [3, width of D's last hidden layer]
    DeviceArray<std::int32_t> row_numbers_; // [B]
    DeviceArray<std::int32_t> labels_;      // of the rows of samples_
    std::uint64_t total_steps_ = 0;
};

} // namespace patchforge
