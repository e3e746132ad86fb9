// A look at a GAN between two iterations: the same patches and codes every time, nothing drawn and
// nothing changed, so that a run with and without it ends in the same bytes.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "host/gan/gan_trainer.h"
#include "host/network/class_columns.h"

namespace patchforge {

// Of up to 64 patches and as many fakes, in evaluation mode: no dropout, no noise. NaN is what was
// not measured: gradients of normalised networks (the backward pass of a normalised layer knows
// batch statistics only, and evaluation mode has none), dead units where no unit is a ReLU.
struct GanHealth {
    static constexpr double unmeasured = std::numeric_limits<double>::quiet_NaN();

    double accuracy_d = 0;               // share of both that D puts on the right side of logit 0
    double gradient_norm_d = unmeasured; // L2 norm of the gradient of D's loss by D's weights
    double gradient_norm_g = unmeasured; // ... of G's loss by G's weights, through D
    double dead_units_d = unmeasured;    // share of (leaky) ReLU units that are above 0 for no row
    double dead_units_g = unmeasured;
    double saturated = 0; // share of the fakes' pixels beyond +-0.99
    double diversity = 0; // mean distance of two fakes / mean distance of two patches, by pixels
    double saturated_patches = 0; // share of the patches' own pixels there
};

// A number of GanHealth, its name in metrics.csv and in TensorBoard.
struct GanHealthColumn {
    const char* name;
    const char* tag;
    double GanHealth::*value;
};
// What a run with these options measures: the same columns at every look.
std::vector<GanHealthColumn> gan_health_columns(const GanOptions& options);

class GanProbe {
  public:
    // trainer and patches must outlive the probe.
    GanProbe(Backend& backend, GanTrainer& trainer, const PatchRows& patches);
    GanHealth look();

  private:
    double dead_units(const Trace& pass, const Network& network);

    Backend& backend_;
    GanTrainer& trainer_;
    std::int64_t rows_;
    std::int64_t pixels_;
    Trace generator_pass_;
    Trace discriminator_pass_;
    DeviceArray<float> latent_;  // [rows, codes with class columns]
    DeviceArray<float> samples_; // [2 rows, pixels]: patches, then fakes
    ClassColumns class_columns_; // of 2 rows
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

} // namespace patchforge
