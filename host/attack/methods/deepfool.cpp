// x <- x + 1.02 |lead| / ||g||^2 g, g the gradient of the lead: where a victim that is linear in x
// would change its mind, and a little further, until it does (Moosavi-Dezfooli et al. 2016). The lead
// is the margin of the wrong class that leads the others at x, or of the target.
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "host/attack/methods/distance_search.h"

namespace patchforge::methods {

namespace {

class DeepFool : public DistanceSearch {
  public:
    explicit DeepFool(const AttackScene& scene)
        : DistanceSearch(scene), lead_(backend(), scene.batch.capacity()),
          length_(backend(), scene.batch.capacity()), step_(backend(), scene.batch.capacity()) {
        if (scene.victim.has_detector()) {
            throw std::invalid_argument("--method deepfool: knows the border of a classifier, not "
                                        "that of a detector as well; use cw or pgd");
        }
        differentiate_ = backend().record([this] {
            const Matrix<float> gradient = matrix(gradient_);
            differentiate({VictimLoss::margin, scene_.options.targeted()}, {0}, lead_.vector());
            backend().row_norms(length_.vector(), gradient, {}, Norm::l2);
        });
        update_ = backend().record([this] {
            const Matrix<float> x = matrix(x_);
            backend().perturb_step(x, x, matrix(gradient_), {}, step_.view(), {}, StepRule::plain,
                                   Ball::none);
        });
    }

    void run(std::size_t, double, double) override {
        begin();
        scene_.batch.restart();
        backend().copy(x_.data(), scene_.batch.origin().data,
                       static_cast<std::size_t>(x_.size()) * sizeof(float));
        const float onwards = scene_.options.targeted() ? -1.0f : 1.0f;
        const std::int64_t steps = scene_.options.steps_of(scene_.batch.pixels());
        for (std::int64_t step = 0; step <= steps; ++step) {
            const std::vector<std::uint8_t> done = look(*differentiate_, step);
            if (std::find(done.begin(), done.end(), 0) == done.end()) {
                break;
            }
            const std::vector<float> lead = lead_.get(), length = length_.get();
            std::vector<float> alpha(rows(), 0);
            for (std::size_t r = 0; r < rows(); ++r) {
                if (!done[r] && length[r] > 0) {
                    // At the border itself the lead is 0 and the step must not be.
                    alpha[r] =
                        onwards * overshoot * (std::fabs(lead[r]) + 1e-4f) / length[r] / length[r];
                }
            }
            step_.set(alpha);
            update_->replay();
        }
    }

  private:
    static constexpr float overshoot = 1.02f;

    RowNumbers lead_, length_, step_;
    std::unique_ptr<Recording> differentiate_, update_;
};

} // namespace

extern const AttackMethod deepfool = {
    .name = "deepfool",
    .help = "steps to the nearest border, as if the victim were linear",
    .options = {"target", "steps"},
    .bounded = false,
    .steps = 50,
    .prepare = prepared<DeepFool>,
};

} // namespace patchforge::methods
