// m <- decay m + g / ||g||_1, x <- project(x + alpha sign(m)) (Dong et al. 2018).
#include "host/attack/methods/gradient_steps.h"

namespace patchforge::methods {

namespace {

class MomentumSteps : public GradientSteps {
  public:
    explicit MomentumSteps(const AttackScene& scene) : GradientSteps(scene), momentum_(room()) {}

  private:
    void start() override {
        GradientSteps::start();
        backend().fill(momentum_.view(), 0);
    }
    Matrix<float> direction(Matrix<float> gradient) override {
        const Matrix<float> momentum = matrix(momentum_);
        backend().accumulate_direction(momentum, gradient,
                                       static_cast<float>(scene_.options.decay));
        return momentum;
    }

    DeviceArray<float> momentum_;
};

} // namespace

extern const AttackMethod mifgsm = {
    .name = "mifgsm",
    .help = "steps along the sign of a momentum",
    .options = {"target", "steps", "alpha", "decay", "loss=margin", "transform_draws"},
    .trains_detectors = true,
    .steps = 10,
    .stride = 1,
    .prepare = prepared<MomentumSteps>,
};

} // namespace patchforge::methods
