// How the value of a layer changes with what the layer reads, to first order: its second-order rule in
// docs/derivations/gradient_penalty.md. A layer without one cannot stand in a network whose slope is
// penalised (host/network/tangent.h).
#pragma once

#include "host/network/layer.h"

namespace patchforge {

class TangentRule {
  public:
    virtual ~TangentRule() = default;

    // Why this one has no rule after all, as "its windows overlap"; empty: it has.
    virtual std::string why_no_tangent() const { return {}; }
    // Floats that tangent() needs for so many rows.
    virtual std::int64_t tangent_room(std::int64_t) const { return 0; }
    // t [B, outputs] = the derivative of the layer's value, without epilogue, along dx, where the
    // sources' values are x. dx and x have an entry a source.
    virtual void tangent(Backend& backend, Matrix<float> t,
                         const std::vector<Matrix<const float>>& dx,
                         const std::vector<Matrix<const float>>& x, Vector<const float> weight,
                         Vector<float> room) const = 0;
};

// A layer that is linear in what it reads, a bias apart: its tangent is a pass forward without bias, and
// its weights' gradient along a tangent the usual one with the tangent in the value's place.
class LinearLayer : public Layer, public TangentRule {
  public:
    void tangent(Backend& backend, Matrix<float> t, const std::vector<Matrix<const float>>& dx,
                 const std::vector<Matrix<const float>>&, Vector<const float> weight,
                 Vector<float>) const final {
        forward(backend, t, dx, weight, {}, {}, {});
    }
};

} // namespace patchforge
