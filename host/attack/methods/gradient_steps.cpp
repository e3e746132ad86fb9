#include "host/attack/methods/gradient_steps.h"

#include <algorithm>

#include "host/run/interrupt.h"

namespace patchforge {

GradientSteps::GradientSteps(const AttackScene& scene)
    : Attack(scene), epsilon_(backend(), scene.batch.capacity()),
      alpha_(backend(), scene.batch.capacity()), gradient_(room()) {
    if (scene.options.climbs_changes()) {
        const ClassifierFormat& format = scene.victim.format();
        camera_.emplace(backend(), format.extent(), scene.batch.capacity(), scene.options.change);
        step_count_ = DeviceArray<std::uint64_t>(backend(), 1);
        by_seen_ = room();
        by_pixels_ = room();
        ignored_ = DeviceArray<float>(backend(), 1);
    }
}

void GradientSteps::set_budget(double epsilon) {
    const double alpha = scene_.options.alpha_of(epsilon, scene_.batch.pixels());
    epsilon_.fill(epsilon);
    alpha_.fill(scene_.options.targeted() ? -alpha : alpha);
}

// The gradient at x, or its mean over changes.
void GradientSteps::enqueue_gradient() {
    const AttackOptions& options = scene_.options;
    const AttackBatch& batch = scene_.batch;
    const WhiteBoxVictim::Goal goal{options.loss_of(), options.targeted()};
    if (!camera_) {
        scene_.victim.gradient(gradient(), {}, batch.x(), batch.label(), goal);
        return;
    }
    const auto draws = static_cast<std::uint32_t>(options.change_draws);
    const float share = 1 / static_cast<float>(draws);
    backend().fill(gradient_.view(), 0);
    for (std::uint32_t draw = 0; draw < draws; ++draw) {
        RandomStream random = attack_stream(options.seed, AttackStream::changes, 0);
        random.draw = {step_count_.data(), draws, draw};
        const Matrix<float> by_seen = matrix(by_seen_), by_pixels = matrix(by_pixels_);
        scene_.victim.gradient(by_seen, {}, camera_->see(batch.x(), random), batch.label(), goal);
        camera_->gradient(by_pixels, by_seen, random);
        backend().weighted_sum(gradient_.view(), gradient_.view(), 1, by_pixels.flat(), share, {},
                               0);
    }
    backend().finish_iteration(step_count_.data(), ignored_.matrix(1, 1), ignored_.view());
}

void GradientSteps::walk() {
    if (!step_) {
        step_ = backend().record([this] {
            const AttackOptions& options = scene_.options;
            const Matrix<float> x = scene_.batch.x();
            enqueue_gradient();
            backend().perturb_step(x, x, direction(gradient()), scene_.batch.origin(),
                                   alpha_.view(), epsilon_.view(), options.rule(), options.ball());
        });
    }
    start();
    if (camera_) { // every batch draws for itself
        const std::uint64_t first = static_cast<std::uint64_t>(scene_.batch.sample(0)) << 20;
        step_count_.upload(&first, 1);
    }
    constexpr std::int64_t at_once = 8; // so that a signal is answered
    for (std::int64_t left = scene_.options.steps_of(scene_.batch.pixels()); left > 0;
         left -= at_once) {
        stop_if_interrupted();
        step_->replay(std::min(left, at_once));
    }
}

void GradientSteps::run(std::size_t, double epsilon, double) {
    set_budget(epsilon);
    walk();
}

} // namespace patchforge
