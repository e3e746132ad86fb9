#include "host/attack/gradient_attack.h"

#include <vector>

namespace patchforge {

GradientAttack::GradientAttack(WhiteBoxVictim& victim, AttackBatch& batch,
                               const AttackOptions& options)
    : victim_(victim), batch_(batch), options_(options),
      epsilon_(victim.backend(), batch.capacity()), alpha_(victim.backend(), batch.capacity()) {
    Backend& backend = victim.backend();
    const std::int64_t size = batch.capacity() * batch.pixels();
    gradient_ = DeviceArray<float>(backend, size);
    const bool with_momentum = options.method == AttackMethod::mifgsm;
    if (with_momentum) {
        momentum_ = DeviceArray<float>(backend, size);
    }
    if (options.restarts > 1) {
        kept_ = DeviceArray<float>(backend, size);
        index_ = DeviceArray<std::int32_t>(backend, batch.capacity());
    }
    const WhiteBoxVictim::Goal goal{
        options.on_margin() ? VictimLoss::margin : VictimLoss::cross_entropy, options.targeted()};
    step_ = backend.record([this, &backend, goal, with_momentum] {
        const Matrix<float> x = batch_.x();
        const Matrix<float> gradient = gradient_.matrix(x.rows, x.columns);
        victim_.gradient(gradient, {}, x, batch_.label(), goal);
        Matrix<float> direction = gradient;
        if (with_momentum) {
            direction = momentum_.matrix(x.rows, x.columns);
            backend.accumulate_direction(direction, gradient, static_cast<float>(options_.decay));
        }
        backend.perturb_step(x, x, direction, batch_.origin(), alpha_.view(), epsilon_.view(),
                             options_.rule(), options_.ball());
    });
}

void GradientAttack::try_once(double epsilon, std::uint32_t number) {
    Backend& backend = victim_.backend();
    if (options_.method == AttackMethod::pgd && options_.random_start) {
        random_start(backend, batch_, gradient_.matrix(batch_.capacity(), batch_.pixels()),
                     options_.ball(), epsilon, options_.seed, number);
    } else {
        batch_.restart();
    }
    if (momentum_.size() > 0) {
        backend.fill(momentum_.view(), 0);
    }
    step_->replay(options_.steps_of(batch_.pixels()));
}

std::vector<std::uint8_t> GradientAttack::successes() {
    const std::vector<std::int32_t> answers = victim_.predictions(batch_.x(), batch_.capacity());
    std::vector<std::uint8_t> broken(answers.size());
    const std::vector<std::uint8_t> stopped = victim_.detected(batch_.x(), batch_.capacity());
    for (std::size_t r = 0; r < answers.size(); ++r) {
        broken[r] =
            !stopped[r] && is_success(answers[r], batch_.host_label(static_cast<std::int64_t>(r)),
                                      options_.targeted());
    }
    return broken;
}

void GradientAttack::run(double epsilon) {
    Backend& backend = victim_.backend();
    const double alpha = options_.alpha_of(epsilon, batch_.pixels());
    epsilon_.fill(epsilon);
    alpha_.fill(options_.targeted() ? -alpha : alpha);
    if (options_.restarts <= 1) {
        try_once(epsilon, 0);
        return;
    }
    const Matrix<float> kept = kept_.matrix(batch_.capacity(), batch_.pixels());
    std::vector<std::uint8_t> done(static_cast<std::size_t>(batch_.capacity()), 0);
    for (std::int64_t number = 0; number < options_.restarts; ++number) {
        try_once(epsilon, static_cast<std::uint32_t>(number));
        std::vector<std::int32_t> index;
        for (std::size_t r = 0; r < done.size(); ++r) {
            index.push_back(done[r] ? -1 : static_cast<std::int32_t>(r));
        }
        index_.upload(index.data(), batch_.capacity());
        backend.place_rows(kept, batch_.x(), index_.view());
        const std::vector<std::uint8_t> broken = successes();
        for (std::size_t r = 0; r < done.size(); ++r) {
            done[r] |= broken[r];
        }
    }
    backend.copy(batch_.x().data, kept.data, static_cast<std::size_t>(kept.size()) * sizeof(float));
}

} // namespace patchforge
