// The classifier's training step, recorded once and replayed: a batch of patches, perhaps
// augmented, and adversarial examples of them; forward with dropout, cross-entropy, backward with
// one Adam step of every layer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/attack/victim.h"
#include "host/classifier/classifier_options.h"
#include "host/model/classifier_model.h"
#include "host/train/iterations.h"
#include "host/train/optimiser.h"
#include "kernels/backend.h"

namespace patchforge {

// What a step measured on its batch, with dropout and before its update.
struct ClassifierStep {
    double loss = 0;             // mean cross-entropy on the clean patches
    double adversarial_loss = 0; // on their adversarial examples
    double logit_distance = 0;   // mean ||z(x) - z(x_adv)||_2
};

class ClassifierTrainer {
  public:
    // patches must have labels in [0, classes) on every used row: std::invalid_argument otherwise.
    ClassifierTrainer(Backend& backend, const ClassifierOptions& options,
                      const ClassifierFormat& format, const PatchRows& patches,
                      Placement placement = Placement::automatic, const Sharding& sharding = {});

    ClassifierModel& model() { return model_; }
    // What is scored and kept: the averaged weights, with statistics of batch normalisation taken
    // anew, or the model where none are kept.
    ClassifierModel& judged();
    std::uint64_t step() const { return iterations_.step(); } // iterations done
    std::uint64_t total_steps() const;
    std::int64_t batches_per_epoch() const { return iterations_.source().batches_per_epoch(); }

    // Runs `count` iterations, at most maximum_run.
    static constexpr std::int64_t maximum_run = Iterations::maximum_run;
    std::vector<ClassifierStep> run(std::int64_t count);
    // All that are left.
    void run_to_the_end();

    // The batch of the last iteration as the network saw it, in [-1, 1]: the clean patches, then as
    // many adversarial ones if there are any.
    Matrix<const float> last_batch() const;

    // classifier.safetensors (weights), state.safetensors (moments and the step) and, where weights are
    // averaged, classifier_ema.safetensors.
    std::map<std::string, std::vector<std::byte>> checkpoint() const;
    void restore(const std::string& folder);

  private:
    bool adversarial() const { return options_.adversarial.active(); }
    // The patches change after they were read, or are attacked: they are read into pixels_ first.
    bool in_unit_range() const;
    RandomStream random(std::uint32_t use) const;
    // Of a batch or a shard of it: up to the gradient by the network's output.
    ShardPass enqueue_pass(std::int64_t rows, int slot);
    void read_patches(std::int64_t rows, int slot);
    void forge(std::int64_t rows);
    void enqueue_loss(Matrix<const float> logit, std::int64_t first, std::int64_t rows,
                      double weight);

    Backend& backend_;
    ClassifierOptions options_;
    Iterations iterations_;
    std::int64_t batch_; // rows of a full batch, or of a full shard of one
    ClassifierModel model_;
    std::unique_ptr<ClassifierModel> average_;
    std::vector<std::uint8_t> statistics_patches_; // what the average takes its statistics from
    Optimiser optimiser_;
    Trace pass_;
    DeviceArray<float> samples_; // [B or 2 B, pixels], in [-1, 1]
    DeviceArray<std::int32_t> row_;
    DeviceArray<std::int32_t> label_;
    DeviceArray<float> class_weight_;
    DeviceArray<float> loss_; // [B or 2 B]
    // In [0, 1], [B, pixels]: the patches, their adversarial examples, and gradients or noise.
    DeviceArray<float> pixels_;
    DeviceArray<float> forged_;
    DeviceArray<float> scratch_;
    std::unique_ptr<WhiteBoxVictim> victim_; // this network, for what forges against it
};

// N / (K * patches of the class) over the used rows.
std::vector<float> balanced_class_weights(const PatchRows& patches, std::int64_t classes);

} // namespace patchforge
