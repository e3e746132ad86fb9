// The gradient of a directional derivative of a network by its weights, which is a derivative of a
// derivative: what penalties on the slope of a network need. docs/derivations/gradient_penalty.md works
// it out.
#pragma once

#include <string>
#include <vector>

#include "host/network/trace.h"

namespace patchforge {

class Tangent {
  public:
    // The network must have a tangent, and outlive this. Room for up to maximum_rows.
    Tangent(const Network& network, std::int64_t maximum_rows);

    // Why the slope of a row is none of its own, or its second derivative is not known here: names the
    // layer and says what to take instead. Empty: there is nothing in the way.
    static std::string why_none(const NetworkShape& shape);

    // `pass`, one with TraceUse::everything, went forward over `input` [B, inputs] outside of training, where
    // batches are normalised by their own statistics, then back to it by backward_input, from gradients
    // by the heads that do not depend on the weights. With g [B, inputs] what that gave, the gradient of
    // sum(direction * g) by all parameters is added to `gradients`, laid out as Network::all(); direction
    // [B, inputs] is a constant. The gradients that `pass` holds are lost.
    void add_gradients(Vector<float> gradients, Trace& pass, Matrix<const float> input,
                       Matrix<const float> direction);

  private:
    struct LayerMemory {
        LayerPointer layer{};
        bool read = false;           // by another layer
        DeviceArray<float> tangent;  // [B, outputs] of its value, where it is read
        DeviceArray<float> before;   // [B, outputs] of what it normalises
        DeviceArray<float> d_weight; // by weights that were divided by their largest singular value
    };

    const LayerShape& shape(std::int64_t layer) const {
        return network_->shape().layers[static_cast<std::size_t>(layer)];
    }
    void add_weight_gradient(std::int64_t layer, Vector<float> gradients, const Trace& pass,
                             Matrix<const float> dx);

    const Network* network_;
    std::vector<LayerMemory> memory_;
    DeviceArray<float> room_; // of TangentRule
};

} // namespace patchforge
