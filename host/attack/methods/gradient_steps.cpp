#include "host/attack/methods/gradient_steps.h"

namespace patchforge {

GradientSteps::GradientSteps(const AttackScene& scene)
    : Attack(scene), epsilon_(backend(), scene.batch.capacity()),
      alpha_(backend(), scene.batch.capacity()), gradient_(room()) {}

void GradientSteps::set_budget(double epsilon) {
    const double alpha = scene_.options.alpha_of(epsilon, scene_.batch.pixels());
    epsilon_.fill(epsilon);
    alpha_.fill(scene_.options.targeted() ? -alpha : alpha);
}

void GradientSteps::walk() {
    if (!step_) {
        step_ = backend().record([this] {
            const AttackOptions& options = scene_.options;
            const Matrix<float> x = scene_.batch.x();
            scene_.victim.gradient(gradient(), {}, x, scene_.batch.label(),
                                   {options.loss_of(), options.targeted()});
            backend().perturb_step(x, x, direction(gradient()), scene_.batch.origin(),
                                   alpha_.view(), epsilon_.view(), options.rule(), options.ball());
        });
    }
    start();
    step_->replay(scene_.options.steps_of(scene_.batch.pixels()));
}

void GradientSteps::run(std::size_t, double epsilon, double) {
    set_budget(epsilon);
    walk();
}

} // namespace patchforge
