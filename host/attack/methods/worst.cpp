// The ensemble that takes the worst case of every sample. AutoAttack (Croce & Hein 2020) is its
// model; its DLR loss needs three classes, so the logit margin stands in.
//   apgd     PGD whose step, 2 eps at first, is halved for a sample that oscillates or does not
//            gain; it then goes on from its best point. Constants: momentum 0.75, rho 0.75,
//            checkpoints at 22 % of the steps, then 3 % less each, at least 6 %.
//   minimal  the nearest example in L-infinity (FMN, Pintor et al. 2021): the ball shrinks while
//            the sample is fooled and grows while it is not
//   square   as the method of that name
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "host/attack/methods/square.h"

namespace patchforge::methods {

namespace {

class WorstCase : public Attack {
  public:
    explicit WorstCase(const AttackScene& scene);

    std::vector<std::string> stages() const override {
        return {"apgd-ce", "apgd-margin", "minimal", "square"};
    }
    void run(std::size_t stage, double epsilon, double lambda) override {
        switch (stage) {
        case 0:
            return apgd(epsilon, VictimLoss::cross_entropy);
        case 1:
            return apgd(epsilon, VictimLoss::margin);
        case 2:
            return minimal(epsilon);
        default:
            return square_.run(0, epsilon, lambda);
        }
    }

  private:
    // Both leave a sample's success in batch.x(), or its best try. `minimal` leaves the origin
    // where nothing within epsilon was found.
    void apgd(double epsilon, VictimLoss loss);
    void minimal(double epsilon);
    // Replays `gradient`; 1 where a sample is fooled now.
    std::vector<std::uint8_t> look(Recording& gradient) {
        gradient.replay();
        return scene_.successes(matrix(x_));
    }

    SquareSearch square_;
    RowNumbers epsilon_, alpha_, loss_, norm_;
    DeviceArray<float> x_, previous_, stepped_, gradient_, best_, best_gradient_;
    RowChoice keep_;
    std::unique_ptr<Recording> gradient_of_[2]; // by cross-entropy, by margin
    std::unique_ptr<Recording> apgd_step_[2];   // the first step, the others
};

WorstCase::WorstCase(const AttackScene& scene)
    : Attack(scene), square_(scene), keep_(backend(), scene.batch.capacity()) {
    Backend& backend = scene.victim.backend();
    AttackBatch& batch = scene.batch;
    for (RowNumbers* numbers : {&epsilon_, &alpha_, &loss_, &norm_}) {
        *numbers = RowNumbers(backend, batch.capacity());
    }
    for (DeviceArray<float>* array :
         {&x_, &previous_, &stepped_, &gradient_, &best_, &best_gradient_}) {
        *array = room();
    }
    for (const VictimLoss loss : {VictimLoss::cross_entropy, VictimLoss::margin}) {
        gradient_of_[loss == VictimLoss::margin] = backend.record([this, loss] {
            scene_.victim.gradient(matrix(gradient_), loss_.vector(), matrix(x_),
                                   scene_.batch.label(), {.loss = loss});
        });
    }
    for (const bool later : {false, true}) {
        apgd_step_[later] = backend.record([this, &backend, later] {
            const Matrix<float> x = matrix(x_);
            const Matrix<float> stepped = matrix(stepped_);
            backend.perturb_step(stepped, x, matrix(gradient_), scene_.batch.origin(),
                                 alpha_.view(), epsilon_.view(), StepRule::sign, Ball::linf);
            // x + a (stepped - x) + (1 - a) (x - previous); without momentum in the first step.
            const float a = later ? 0.75f : 1.0f;
            backend.weighted_sum(stepped.flat(), x.flat(), 2 - 2 * a, stepped.flat(), a,
                                 matrix(previous_).flat(), a - 1);
            backend.weighted_sum(previous_.view(), x.flat(), 1, {}, 0, {}, 0);
            backend.perturb_step(x, stepped, {}, scene_.batch.origin(), {0}, epsilon_.view(),
                                 StepRule::plain, Ball::linf);
        });
    }
}

void WorstCase::apgd(double epsilon, VictimLoss loss) {
    Backend& backend = scene_.victim.backend();
    const auto rows = static_cast<std::size_t>(scene_.batch.capacity());
    const std::int64_t steps = scene_.options.steps_of(scene_.batch.pixels());
    const auto share = [&](double part) {
        return std::max<std::int64_t>(static_cast<std::int64_t>(part * static_cast<double>(steps)),
                                      1);
    };
    Recording& gradient = *gradient_of_[loss == VictimLoss::margin];
    epsilon_.fill(epsilon);
    std::vector<float> alpha(rows, static_cast<float>(2 * epsilon));
    alpha_.set(alpha);

    random_start(backend, scene_.batch, matrix(gradient_), Ball::linf, epsilon, scene_.options.seed,
                 loss == VictimLoss::margin ? 1 : 0);
    const std::size_t bytes = static_cast<std::size_t>(x_.size()) * sizeof(float);
    backend.copy(x_.data(), scene_.batch.x().data, bytes);
    backend.copy(previous_.data(), scene_.batch.x().data, bytes);
    std::vector<std::uint8_t> done = look(gradient); // those samples are in batch.x() already
    std::vector<float> best = loss_.get();
    backend.copy(best_.data(), x_.data(), bytes);
    backend.copy(best_gradient_.data(), gradient_.data(), bytes);

    std::vector<float> last = best, best_at_checkpoint = best;
    std::vector<std::int64_t> gains(rows, 0); // steps since the checkpoint that raised the loss
    std::vector<std::uint8_t> reduced(rows, 1);
    std::int64_t period = share(0.22), since = 0;
    for (std::int64_t step = 0; step < steps; ++step) {
        apgd_step_[step > 0]->replay();
        std::vector<std::uint8_t> fresh = look(gradient);
        const std::vector<float> now = loss_.get();
        std::vector<std::uint8_t> better(rows);
        for (std::size_t r = 0; r < rows; ++r) {
            fresh[r] = fresh[r] && !done[r];
            done[r] |= fresh[r];
            gains[r] += now[r] > last[r];
            better[r] = now[r] > best[r];
            best[r] = better[r] ? now[r] : best[r];
        }
        last = now;
        keep_.copy(matrix(best_), matrix(x_), better);
        keep_.copy(matrix(best_gradient_), matrix(gradient_), better);
        keep_.copy(scene_.batch.x(), matrix(x_), fresh);
        if (std::all_of(done.begin(), done.end(), [](std::uint8_t d) { return d != 0; })) {
            return;
        }
        if (++since < period) {
            continue;
        }
        std::vector<std::uint8_t> halve(rows);
        for (std::size_t r = 0; r < rows; ++r) {
            const bool oscillates =
                static_cast<double>(gains[r]) <= 0.75 * static_cast<double>(period);
            const bool stuck = !reduced[r] && best_at_checkpoint[r] >= best[r];
            halve[r] = oscillates || stuck;
            alpha[r] = halve[r] ? alpha[r] / 2 : alpha[r];
            gains[r] = 0;
        }
        reduced = halve;
        best_at_checkpoint = best;
        alpha_.set(alpha);
        keep_.copy(matrix(x_), matrix(best_), halve);
        keep_.copy(matrix(gradient_), matrix(best_gradient_), halve);
        period = std::max(period - share(0.03), share(0.06));
        since = 0;
    }
    for (std::uint8_t& d : done) {
        d = !d;
    }
    keep_.copy(scene_.batch.x(), matrix(best_), done);
}

void WorstCase::minimal(double epsilon) {
    constexpr double first_gamma = 0.05, last_gamma = 0.001; // how fast the ball changes
    constexpr double first_alpha = 1.0, last_alpha = 0.01;   // L2 length of a step
    Backend& backend = scene_.victim.backend();
    const auto rows = static_cast<std::size_t>(scene_.batch.capacity());
    const std::int64_t steps = scene_.options.steps_of(scene_.batch.pixels());
    const double infinity = std::numeric_limits<double>::infinity();
    scene_.batch.restart();
    backend.copy(x_.data(), scene_.batch.x().data,
                 static_cast<std::size_t>(x_.size()) * sizeof(float));

    std::vector<double> best(rows, infinity);
    std::vector<float> radius(rows, 1);
    for (std::int64_t step = 0; step <= steps; ++step) {
        const std::vector<std::uint8_t> fooled = look(*gradient_of_[1]);
        const std::vector<float> margin = loss_.get();
        backend.row_norms(norm_.vector(), matrix(gradient_), {}, Norm::l1);
        const std::vector<float> slope = norm_.get();
        backend.row_norms(norm_.vector(), matrix(x_), scene_.batch.origin(), Norm::linf);
        const std::vector<float> distance = norm_.get();
        const double turn = static_cast<double>(step) / static_cast<double>(steps);
        const double wave = (1 + std::cos(std::numbers::pi * turn)) / 2;
        const double gamma = last_gamma + (first_gamma - last_gamma) * wave;
        std::vector<std::uint8_t> found(rows);
        for (std::size_t r = 0; r < rows; ++r) {
            const bool closer = fooled[r] && distance[r] < best[r];
            best[r] = closer ? distance[r] : best[r];
            found[r] = closer && distance[r] <= static_cast<float>(epsilon);
            if (fooled[r]) {
                radius[r] = static_cast<float>(std::min(radius[r] * (1 - gamma), best[r]));
            } else if (best[r] < infinity) {
                radius[r] = static_cast<float>(radius[r] * (1 + gamma));
            } else if (scene_.victim.has_detector()) {
                radius[r] = 1; // the joint gradient has no length: no bound before a success
            } else {
                // As far as a linear model would have to go: |margin| / ||gradient||_1 further.
                radius[r] =
                    static_cast<float>(distance[r] + (slope[r] > 0 ? -margin[r] / slope[r] : 1));
            }
        }
        keep_.copy(scene_.batch.x(), matrix(x_), found);
        epsilon_.set(radius);
        alpha_.fill(last_alpha + (first_alpha - last_alpha) * wave);
        backend.perturb_step(matrix(x_), matrix(x_), matrix(gradient_), scene_.batch.origin(),
                             alpha_.view(), epsilon_.view(), StepRule::unit_l2, Ball::linf);
    }
}

} // namespace

extern const AttackMethod worst = {
    .name = "worst",
    .help = "of every sample the worst of PGD with step halving, a nearest example and square",
    .options = {"steps", "queries"},
    .norms = {Norm::linf},
    .sight = Sight::both,
    .steps = 100,
    .prepare = prepared<WorstCase>,
};

} // namespace patchforge::methods
