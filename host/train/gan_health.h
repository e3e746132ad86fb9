// A look at a GAN between two iterations: the same patches and codes every time, nothing drawn and
// nothing changed, so that a run with and without it ends in the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/train/gan_trainer.h"

namespace patchforge {

// Of up to 64 patches and as many fakes, in evaluation mode: no dropout, no noise. Normalised
// networks have no gradients then; their norms stay 0.
struct GanHealth {
    double accuracy_d = 0;      // share of both that D puts on the right side of a logit of 0
    double gradient_norm_d = 0; // L2 norm of the gradient of D's loss by D's weights
    double gradient_norm_g = 0; // ... of G's loss by G's weights
    double dead_units_d = 0;    // share of (leaky) ReLU units that are above 0 for no row
    double dead_units_g = 0;
    double saturated = 0; // share of the fakes' pixels beyond +-0.99
    double diversity = 0; // mean distance of two fakes / mean distance of two patches, by pixels
    double saturated_patches = 0; // share of the patches' own pixels there
};

// Names as they stand in metrics.csv, and the values in the same order.
std::vector<std::string> gan_health_columns();
std::vector<double> gan_health_values(const GanHealth& health);

class GanProbe {
  public:
    // trainer and patches must outlive the probe.
    GanProbe(Backend& backend, GanTrainer& trainer, const PatchRows& patches);
    GanHealth look();

  private:
    double dead_units(const Pass& pass, const Network& network);

    Backend& backend_;
    GanTrainer& trainer_;
    std::int64_t rows_;
    std::int64_t pixels_;
    Pass generator_pass_;
    Pass discriminator_pass_;
    DeviceArray<float> latent_;  // [rows, codes with class columns]
    DeviceArray<float> samples_; // [2 rows, pixels]: patches, then fakes
    DeviceArray<float> inputs_;  // [2 rows, pixels + classes]; empty without classes
    DeviceArray<float> d_inputs_;
    // Apart: each network has zeros between its tensors.
    DeviceArray<float> gradients_d_;
    DeviceArray<float> gradients_g_;
    DeviceArray<float> metrics_;
    DeviceArray<double> sum_;
    DeviceArray<std::int32_t> labels_;
    double distance_of_patches_ = 0;
    double saturated_patches_ = 0;
};

// What the numbers of one logged interval say, as plain sentences; empty when nothing looks wrong.
// docs/gan.md gives the reason of each threshold.
struct GanSigns {
    double probability_real = 0.5; // D(x) and D(G(z)), means of the interval
    double probability_fake = 0.5;
    double loss_d = 0;
    double loss_g = 0;
    GanHealth health;
};
namespace gan_thresholds {
constexpr double collapse_diversity = 0.25;  // of the patches' own
constexpr double winning_accuracy = 0.98;    // of D ...
constexpr double winning_probability = 0.05; // ... with D(G(z)) below
constexpr double blind_accuracy = 0.52;      // of D, with D(x) and D(G(z)) apart by less than
constexpr double blind_difference = 0.005;
constexpr double diverging_loss = 50;   // of either network, by magnitude
constexpr double saturated_share = 0.3; // of the fakes' pixels, more than of the patches'
constexpr double dead_share = 0.5;      // of a network's units
} // namespace gan_thresholds
std::vector<std::string> gan_warnings(const GanSigns& signs, GanLoss loss);

} // namespace patchforge
