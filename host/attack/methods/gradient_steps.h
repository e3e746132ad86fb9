// Steps along the sign of the loss gradient, in L2 and L1 along g / ||g||, projected onto ball and
// box. Towards a target the steps descend.
#pragma once

#include <memory>
#include <optional>

#include "host/attack/attack_method.h"
#include "host/attack/attack_options.h"

namespace patchforge {

// One step (forward, gradient, update) is recorded once and replayed for every step, budget and
// batch; budget and step size lie on the device.
class GradientSteps : public Attack {
  public:
    explicit GradientSteps(const AttackScene& scene);
    void run(std::size_t stage, double epsilon, double lambda) override;

  protected:
    // Puts x where the steps begin.
    virtual void start() { scene_.batch.restart(); }
    // While recording: what is followed instead of the gradient.
    virtual Matrix<float> direction(Matrix<float> gradient) { return gradient; }

    // The gradient of the last step; before the first, room for anything.
    Matrix<float> gradient() const { return matrix(gradient_); }
    void set_budget(double epsilon);
    void walk(); // from start(), all steps

  private:
    void enqueue_gradient();

    RowNumbers epsilon_;
    RowNumbers alpha_;
    DeviceArray<float> gradient_;
    // Only where the mean loss over changes is climbed: whose draws a count on the device numbers.
    std::optional<Camera> camera_;
    DeviceArray<std::uint64_t> step_count_;
    DeviceArray<float> by_seen_, by_pixels_, ignored_;
    std::unique_ptr<Recording> step_;
};

} // namespace patchforge
