#include "host/attack/optimisation_attack.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/attack/gradient_attack.h"

namespace patchforge {

namespace {

constexpr double never = std::numeric_limits<double>::infinity();

} // namespace

OptimisationAttack::OptimisationAttack(WhiteBoxVictim& victim, AttackBatch& batch,
                                       const AttackOptions& options)
    : victim_(victim), batch_(batch), options_(options),
      weight_(victim.backend(), batch.capacity()), distance_(victim.backend(), batch.capacity()) {
    Backend& backend = victim.backend();
    const std::int64_t rows = batch.capacity();
    const std::int64_t pixels = batch.pixels();
    const std::int64_t size = rows * pixels;
    const bool cw = options.method == AttackMethod::cw;
    x_ = DeviceArray<float>(backend, size);
    d_x_ = DeviceArray<float>(backend, size);
    w_ = DeviceArray<float>(backend, cw ? size : 0);
    tanh_ = DeviceArray<float>(backend, cw ? size : 0);
    first_moment_ = DeviceArray<float>(backend, size);
    second_moment_ = DeviceArray<float>(backend, size);
    step_number_ = DeviceArray<std::uint64_t>(backend, 1);
    unused_metric_ = DeviceArray<float>(backend, 2);
    index_ = DeviceArray<std::int32_t>(backend, rows);

    WhiteBoxVictim::Goal goal{cw ? VictimLoss::margin : options.forge_loss(), options.targeted()};
    if (cw) {
        // Untargeted, -c times the margin until it leads by `confidence`; targeted, c times the
        // margin until the target leads by it.
        goal.scale = weight_.view();
        (options.targeted() ? goal.low : goal.high) =
            static_cast<float>(options.targeted() ? -options.confidence : options.confidence);
    }
    gradient_ = backend.record([this, &backend, rows, pixels, goal, cw] {
        const Matrix<float> x = x_.matrix(rows, pixels);
        if (cw) {
            const Epilogue tanh{.activation = Activation::tanh, .random = {}};
            backend.activate(tanh_.matrix(rows, pixels), w_.matrix(rows, pixels), tanh);
            backend.affine(x.flat(), tanh_.view(), 0.5f, 0.5f);
        }
        const Matrix<float> d_x = d_x_.matrix(rows, pixels);
        victim_.gradient(d_x, {}, x, batch_.label(), goal);
        backend.add_distance_gradient(d_x, x, batch_.origin(), cw ? RowValue{1} : weight_.view());
        backend.row_norms(distance_.vector(), x, batch_.origin(), Norm::l2);
    });
    const Adam adam{.learning_rate = static_cast<float>(options.learning_rate),
                    .step = {.step = step_number_.data()}};
    const bool by_adam = cw || options.forge_adam;
    update_ = backend.record([this, &backend, rows, pixels, adam, cw, by_adam] {
        const Matrix<float> x = x_.matrix(rows, pixels);
        const Matrix<float> d_x = d_x_.matrix(rows, pixels);
        if (cw) {
            const Epilogue tanh{.activation = Activation::tanh, .random = {}};
            backend.activation_gradient(d_x, d_x, tanh_.matrix(rows, pixels), tanh);
            backend.affine(d_x.flat(), d_x.flat(), 0.5f, 0);
        }
        if (by_adam) {
            backend.adam({cw ? w_.view() : x.flat(), first_moment_.view(), second_moment_.view()},
                         d_x.flat(), adam);
        }
        if (!cw) {
            const float step = by_adam ? 0.0f : -adam.learning_rate;
            backend.perturb_step(x, x, d_x, {}, {step}, {}, StepRule::plain, Ball::none);
        }
        backend.finish_iteration(step_number_.data(), unused_metric_.matrix(1, 1),
                                 unused_metric_.view().part(1, 1));
    });
}

void OptimisationAttack::begin() {
    Backend& backend = victim_.backend();
    backend.fill(first_moment_.view(), 0);
    backend.fill(second_moment_.view(), 0);
    const std::uint64_t zero = 0;
    step_number_.upload(&zero, 1);
}

std::vector<std::uint8_t> OptimisationAttack::look(std::int64_t step) {
    Backend& backend = victim_.backend();
    const std::int64_t rows = batch_.capacity();
    gradient_->replay();
    const std::vector<float> distance = distance_.get();
    const Matrix<const float> x = x_.matrix(rows, batch_.pixels());
    const std::vector<float> logits = victim_.host_logits(x, rows);
    const std::vector<std::uint8_t> stopped = victim_.detected(x, rows);
    const std::int64_t classes = victim_.class_count();
    const std::vector<std::int32_t> answers = argmax_of(logits, classes);
    std::vector<std::uint8_t> success(static_cast<std::size_t>(rows));
    std::vector<std::int32_t> index(success.size(), -1);
    bool any = false;
    for (std::size_t r = 0; r < success.size(); ++r) {
        const std::int32_t label = batch_.host_label(static_cast<std::int64_t>(r));
        const float* z = logits.data() + static_cast<std::int64_t>(r) * classes;
        double rival = -never;
        for (std::int32_t c = 0; c < classes; ++c) {
            rival = c == label ? rival : std::max<double>(rival, z[c]);
        }
        const double lead = options_.targeted() ? z[label] - rival : rival - z[label];
        success[r] = !stopped[r] && is_success(answers[r], label, options_.targeted()) &&
                     lead >= options_.confidence &&
                     (options_.within <= 0 || distance[r] <= options_.within);
        if (success[r] && distance[r] < best_distance_[r]) {
            best_distance_[r] = distance[r];
            index[r] = static_cast<std::int32_t>(r);
            any = true;
        }
        if (success[r] && steps_to_success_[r] < 0) {
            steps_to_success_[r] = step;
        }
    }
    if (any) {
        index_.upload(index.data(), rows);
        backend.place_rows(batch_.x(), x, index_.view());
    }
    return success;
}

void OptimisationAttack::run_forge(Matrix<const float> start, double lambda) {
    Backend& backend = victim_.backend();
    const std::int64_t rows = batch_.capacity();
    best_distance_.assign(static_cast<std::size_t>(rows), never);
    steps_to_success_.assign(static_cast<std::size_t>(rows), -1);
    backend.copy(x_.data(), start.data, static_cast<std::size_t>(x_.size()) * sizeof(float));
    weight_.fill(lambda);
    begin();
    const std::int64_t steps = options_.steps_of(batch_.pixels());
    for (std::int64_t step = 0; step <= steps; ++step) {
        look(step);
        if (step < steps) {
            update_->replay();
        }
    }
    // Those that never succeeded are left where they got to or, where that may be too far, at the
    // original.
    std::vector<std::int32_t> index(static_cast<std::size_t>(rows), -1);
    for (std::size_t r = 0; r < index.size(); ++r) {
        index[r] = best_distance_[r] == never ? static_cast<std::int32_t>(r) : -1;
    }
    index_.upload(index.data(), rows);
    backend.place_rows(batch_.x(),
                       options_.within > 0 ? batch_.origin() : x_.matrix(rows, batch_.pixels()),
                       index_.view());
}

void OptimisationAttack::set_weights(const std::vector<float>& values, double sign) {
    std::vector<float> signed_values(values);
    for (float& value : signed_values) {
        value = static_cast<float>(sign * value);
    }
    weight_.set(signed_values);
}

void OptimisationAttack::run_cw() {
    const auto rows = static_cast<std::size_t>(batch_.capacity());
    best_distance_.assign(rows, never);
    steps_to_success_.assign(rows, -1);
    batch_.restart();

    std::vector<float> origin(static_cast<std::size_t>(x_.size()));
    victim_.backend().download(origin.data(), batch_.origin().data, origin.size() * sizeof(float));
    std::vector<float> w(origin.size());
    std::transform(origin.begin(), origin.end(), w.begin(), [](float x0) {
        return static_cast<float>(std::atanh((2.0 * x0 - 1.0) * 0.999999)); // finite at 0 and 1
    });

    std::vector<float> c(rows, static_cast<float>(options_.initial_c));
    std::vector<double> low(rows, 0), high(rows, never);
    const std::int64_t steps = options_.steps_of(batch_.pixels());
    for (std::int64_t search = 0; search < options_.search_steps; ++search) {
        w_.upload(w.data(), static_cast<std::int64_t>(w.size()));
        set_weights(c, options_.targeted() ? 1 : -1);
        begin();
        std::vector<std::uint8_t> succeeded(rows, 0);
        for (std::int64_t step = 0; step <= steps; ++step) {
            const std::vector<std::uint8_t> now = look(search * steps + step);
            for (std::size_t r = 0; r < rows; ++r) {
                succeeded[r] |= now[r];
            }
            if (step < steps) {
                update_->replay();
            }
        }
        for (std::size_t r = 0; r < rows; ++r) {
            (succeeded[r] ? high[r] : low[r]) = c[r];
            c[r] = static_cast<float>(high[r] == never ? 10.0 * c[r] : (low[r] + high[r]) / 2);
        }
    }
}

} // namespace patchforge
