// Penalties on the slope of the discriminator, WGAN-GP's (Gulrajani et al. 2017) and R1 (Mescheder et
// al. 2018), and their gradient by its weights, a derivative of a derivative.
// docs/derivations/gradient_penalty.md works it out.
#pragma once

#include "host/network/tangent.h"

namespace patchforge {

class GradientPenalty {
  public:
    enum class Slope { one, zero }; // that costs nothing

    // The slope is taken by the first `pixels` columns of the input. Throws std::invalid_argument where
    // it has none that can be penalised (Tangent::why_none).
    GradientPenalty(const Network& discriminator, std::int64_t maximum_rows, std::int64_t pixels);

    // g the gradient of D's answer by a row of input [B, inputs], dropout off; the answer is the sum over
    // the heads of the mean over each one's map, as the losses have it.
    //     one    penalty [1] = weight * mean over rows of (sqrt(1e-4 + ||g||^2) - 1)^2
    //     zero   penalty [1] = weight / 2 * mean over rows of ||g||^2
    // Its gradient is added to `gradients`, laid out as Network::all().
    void add_gradient(Vector<float> gradients, Vector<float> penalty, Matrix<const float> input,
                      float weight, Slope slope = Slope::one);

  private:
    // The penalty of slopes g [B, pixels], which become its gradient by them.
    void penalise(Matrix<float> g, Vector<float> penalty, float weight, Slope slope);

    const Network* network_;
    std::int64_t pixels_;
    Trace pass_;
    Tangent tangent_;
    DeviceArray<float> input_gradient_; // g with all columns, then the tangent that enters layer 0
    DeviceArray<float> slope_;          // g and u, pixels alone; empty when that is all columns
    DeviceArray<float> row_values_;     // of each row: its penalty, or ||g||
};

} // namespace patchforge
