// The gradient penalty of WGAN-GP (Gulrajani et al. 2017) and its gradient by the discriminator's
// weights, a derivative of a derivative. docs/derivations/gradient_penalty.md works it out.
#pragma once

#include "host/network/trace.h"

namespace patchforge {

class GradientPenalty {
  public:
    // discriminator: plain, its activations piecewise linear (relu, leaky_relu, identity), one
    // output. The slope is taken by the first `pixels` columns of the input.
    GradientPenalty(const Network& discriminator, std::int64_t maximum_rows, std::int64_t pixels);

    // penalty [1] = weight * mean over rows of (sqrt(1e-4 + ||g||^2) - 1)^2, g the gradient of D's
    // output by a row of input [B, inputs], dropout off; its gradient is added to `gradients`, laid
    // out as Network::all().
    void add_gradient(Vector<float> gradients, Vector<float> penalty, Matrix<const float> input,
                      float weight);

  private:
    const Network* network_;
    std::int64_t pixels_;
    Trace pass_;
    DeviceArray<float> input_gradient_; // g with all columns, then the tangent that enters layer 0
    DeviceArray<float> slope_;          // g and u, pixels alone; empty when that is all columns
    DeviceArray<float> penalty_;        // of each row
    std::vector<DeviceArray<float>> tangent_; // that leaves each layer
};

} // namespace patchforge
