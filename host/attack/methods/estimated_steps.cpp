#include "host/attack/methods/estimated_steps.h"

#include <algorithm>

namespace patchforge {

EstimatedSteps::EstimatedSteps(const AttackScene& scene)
    : QueryAttack(scene), gradient_(backend(), scene.batch.pixels()) {}

bool EstimatedSteps::estimate(Matrix<const float> x, std::int64_t row, std::uint64_t step) {
    const AttackOptions& options = scene_.options;
    const std::int64_t sample = scene_.batch.sample(row);
    const std::int64_t pairs = options.method->pairs(options, x.columns);
    const std::int64_t spent = victim().queries()[sample];
    if (spent + 2 * pairs + 1 > options.queries) {
        return false;
    }
    for (std::int64_t first = 0; first < pairs; first += victim().capacity() / 2) {
        const std::int64_t count = std::min(victim().capacity() / 2, pairs - first);
        // Every chunk of every step of every sample draws its own directions.
        const RandomStream random = attack_stream(options.seed + static_cast<std::uint64_t>(sample),
                                                  AttackStream::directions,
                                                  step * 4096 + static_cast<std::uint64_t>(first));
        const Matrix<float> query = query_.matrix(2 * count, x.columns);
        question(query, x, first, random);
        const std::vector<std::int64_t> samples(static_cast<std::size_t>(2 * count), sample);
        learn(gradient_.matrix(1, x.columns), ask(query, samples), first, random);
    }
    return true;
}

void EstimatedSteps::run(std::size_t, double epsilon, double) {
    const AttackOptions& options = scene_.options;
    const AttackBatch& batch = scene_.batch;
    const std::int64_t pixels = batch.pixels();
    const double alpha = options.alpha_of(epsilon, pixels);
    const RowValue stride{static_cast<float>(options.targeted() ? -alpha : alpha)};
    scene_.batch.restart();
    for (std::int64_t row = 0; row < batch.rows(); ++row) {
        const Matrix<float> x = batch.x().row_range(row, 1);
        set_labels(std::vector<std::int32_t>(static_cast<std::size_t>(victim().capacity()),
                                             batch.host_label(row)));
        bool done = false;
        for (std::int64_t step = 0; step < options.steps_of(pixels) && !done; ++step) {
            if (!estimate(x, row, static_cast<std::uint64_t>(step))) {
                break;
            }
            backend().perturb_step(x, x, gradient_.matrix(1, pixels),
                                   batch.origin().row_range(row, 1), stride,
                                   {static_cast<float>(epsilon)}, options.rule(), options.ball());
            done = succeeded(margins(x, {batch.sample(row)}).front());
        }
    }
}

namespace {

class RandomDirections : public EstimatedSteps {
  public:
    RandomDirections(const AttackScene& scene, DirectionKind kind)
        : EstimatedSteps(scene), kind_(kind) {}

  private:
    void question(Matrix<float> query, Matrix<const float> x, std::int64_t,
                  const RandomStream& random) override {
        backend().antithetic_queries(query, x, reach(), kind_, random);
    }
    void learn(Matrix<float> gradient, Vector<const float> loss, std::int64_t first,
               const RandomStream& random) override {
        backend().antithetic_gradient(gradient, loss, reach(), kind_, random, first > 0);
    }

    DirectionKind kind_;
};

} // namespace

std::unique_ptr<Attack> random_directions(const AttackScene& scene, DirectionKind kind) {
    return std::make_unique<RandomDirections>(scene, kind);
}

std::int64_t given_directions(const AttackOptions& options, std::int64_t) {
    return options.directions;
}

} // namespace patchforge
