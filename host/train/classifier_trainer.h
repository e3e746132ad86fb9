// The classifier's training step, recorded once and replayed: a batch of patches, forward with
// dropout, cross-entropy, backward with one Adam step of every layer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/model/classifier_model.h"
#include "host/train/batches.h"
#include "host/train/classifier_options.h"
#include "kernels/backend.h"

namespace patchforge {

class ClassifierTrainer {
  public:
    // patches must have labels in [0, classes) on every used row: std::invalid_argument otherwise.
    ClassifierTrainer(Backend& backend, const ClassifierOptions& options,
                      const ClassifierFormat& format, const PatchRows& patches,
                      Placement placement = Placement::automatic);

    ClassifierModel& model() { return model_; }
    std::uint64_t step() const { return step_; } // iterations done
    std::uint64_t total_steps() const;
    std::int64_t batches_per_epoch() const { return source_->batches_per_epoch(); }

    // Runs `count` iterations, at most maximum_run; the mean training loss of each.
    static constexpr std::int64_t maximum_run = 1024;
    std::vector<double> run(std::int64_t count);

    // classifier.safetensors (weights) and state.safetensors (moments and the step).
    std::map<std::string, std::vector<std::byte>> checkpoint() const;
    void restore(const std::string& folder);

  private:
    void enqueue_iteration(std::int64_t rows, int slot);

    Backend& backend_;
    ClassifierOptions options_;
    DeviceArray<std::uint64_t> device_step_;
    std::unique_ptr<BatchSource> source_;
    ClassifierModel model_;
    Pass pass_;
    DeviceArray<float> samples_; // [B, pixels], in [-1, 1]
    DeviceArray<std::int32_t> row_;
    DeviceArray<std::int32_t> label_;
    DeviceArray<float> class_weight_;
    DeviceArray<float> loss_; // [B]
    DeviceArray<float> mean_loss_;
    DeviceArray<float> history_;
    std::map<std::pair<std::int64_t, int>, std::unique_ptr<Recording>> recordings_; // by rows, slot
    std::uint64_t step_ = 0;
};

// N / (K * patches of the class) over the used rows.
std::vector<float> balanced_class_weights(const PatchRows& patches, std::int64_t classes);

} // namespace patchforge
