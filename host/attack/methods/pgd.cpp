// x <- project(x + alpha sign(g)), from a random start (Madry et al. 2018); without one it is BIM
// (Kurakin et al. 2017). With restarts a sample keeps its first success, or the last try.
#include <fmt/format.h>

#include "host/attack/methods/gradient_steps.h"

namespace patchforge::methods {

namespace {

class ProjectedSteps : public GradientSteps {
  public:
    explicit ProjectedSteps(const AttackScene& scene) : GradientSteps(scene) {
        if (scene.options.restarts > 1) {
            kept_ = room();
            keep_ = RowChoice(backend(), scene.batch.capacity());
        }
    }

    void run(std::size_t, double epsilon, double) override {
        epsilon_ = epsilon;
        set_budget(epsilon);
        AttackBatch& batch = scene_.batch;
        attempt_ = 0;
        walk();
        if (scene_.options.restarts <= 1) {
            return;
        }
        const Matrix<float> kept = matrix(kept_);
        std::vector<std::uint8_t> open(rows(), 1);
        while (true) {
            keep_.copy(kept, batch.x(), open);
            const std::vector<std::uint8_t> broken = scene_.successes(batch.x());
            for (std::size_t r = 0; r < open.size(); ++r) {
                open[r] &= !broken[r];
            }
            if (++attempt_ == scene_.options.restarts) {
                break;
            }
            walk();
        }
        backend().copy(batch.x().data, kept.data,
                       static_cast<std::size_t>(kept.size()) * sizeof(float));
    }

  private:
    void start() override {
        const AttackOptions& options = scene_.options;
        if (options.random_start) {
            random_start(backend(), scene_.batch, gradient(), options.ball(), epsilon_,
                         options.seed, static_cast<std::uint32_t>(attempt_));
        } else {
            GradientSteps::start();
        }
    }

    double epsilon_ = 0;
    std::int64_t attempt_ = 0;
    DeviceArray<float> kept_;
    RowChoice keep_;
};

std::string text(const AttackOptions& options) {
    return (options.random_start ? ", random start" : " (no random start: BIM)") +
           (options.restarts > 1 ? fmt::format(", {} restarts", options.restarts) : "");
}

} // namespace

extern const AttackMethod pgd = {
    .name = "pgd",
    .help = "steps along the gradient's sign, from a random start",
    .options = {"target", "steps", "alpha", "no_random_start", "restarts", "loss=margin",
                "transform_draws"},
    .trains_detectors = true,
    .steps = 40,
    .text = text,
    .prepare = prepared<ProjectedSteps>,
};

} // namespace patchforge::methods
