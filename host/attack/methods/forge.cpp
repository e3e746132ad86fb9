// Minimises loss(answer, target) + lambda ||x - x0||^2 over x, by gradient descent or Adam; x is cut
// to the box after each step. What never succeeded is left where it got to or, where that may be too
// far, at the original.
#include <fmt/format.h>

#include "host/attack/methods/distance_search.h"

namespace patchforge::methods {

namespace {

using Start = AttackOptions::Start;

class Forge : public DistanceSearch {
  public:
    explicit Forge(const AttackScene& scene)
        : DistanceSearch(scene),
          others_(backend(), scene.options.start == Start::other ? x_.size() : 0),
          lambda_(backend(), scene.batch.capacity()),
          adam_(backend(), x_.size(), scene.options.learning_rate) {
        const AttackOptions& options = scene.options;
        differentiate_ = backend().record([this, &options] {
            differentiate({options.loss_of(), options.targeted()}, lambda_.view());
        });
        update_ = backend().record([this, &options] {
            const Matrix<float> x = matrix(x_), gradient = matrix(gradient_);
            if (options.by_adam) {
                adam_.step(x.flat(), gradient.flat());
            }
            const float step = options.by_adam ? 0 : -static_cast<float>(options.learning_rate);
            backend().perturb_step(x, x, gradient, {}, {step}, {}, StepRule::plain, Ball::none);
        });
    }

    void run(std::size_t, double, double lambda) override {
        const AttackOptions& options = scene_.options;
        start();
        begin();
        lambda_.fill(lambda);
        adam_.restart();
        const std::int64_t steps = options.steps_of(scene_.batch.pixels());
        for (std::int64_t step = 0; step <= steps; ++step) {
            look(*differentiate_, step);
            if (step < steps) {
                update_->replay();
            }
        }
        keep_.copy(scene_.batch.x(), options.within > 0 ? scene_.batch.origin() : matrix(x_),
                   hopeless());
    }

  private:
    // The next sample of the set with the same label; without any, the next sample.
    std::int64_t other_than(std::int64_t sample) const {
        const AttackSet& set = scene_.set;
        for (std::int64_t further = 1; further < set.count(); ++further) {
            const std::int64_t other = (sample + further) % set.count();
            if (set.labels[other] == set.labels[sample]) {
                return other;
            }
        }
        return (sample + 1) % set.count();
    }

    void start() {
        const AttackBatch& batch = scene_.batch;
        if (scene_.options.start == Start::self) {
            backend().copy(x_.data(), batch.origin().data,
                           static_cast<std::size_t>(x_.size()) * sizeof(float));
        } else if (scene_.options.start == Start::noise) {
            backend().fill_uniform(x_.view(), 0, 1,
                                   attack_stream(scene_.options.seed, AttackStream::others,
                                                 static_cast<std::uint64_t>(batch.sample(0))));
        } else {
            std::vector<std::uint8_t> levels;
            for (std::int64_t row = 0; row < batch.capacity(); ++row) {
                const auto patch = scene_.set.patch(other_than(batch.sample(row)));
                levels.insert(levels.end(), patch.begin(), patch.end());
            }
            others_.upload(levels.data(), others_.size());
            backend().gather_rows(matrix(x_), {}, others_.matrix(batch.capacity(), batch.pixels()),
                                  PixelRange::unit,
                                  {.count = batch.capacity(),
                                   .batch_size = batch.capacity(),
                                   .order = BatchPlan::Order::sequential});
        }
    }

    DeviceArray<std::uint8_t> others_; // patches to start from
    RowNumbers lambda_;
    InputAdam adam_;
    std::unique_ptr<Recording> differentiate_, update_;
};

std::string start_text(const AttackOptions& options) {
    return std::string(options.start == Start::other   ? ", from another patch"
                       : options.start == Start::noise ? ", from noise"
                                                       : "") +
           (options.within > 0 ? fmt::format(", within {:g}", options.within) : "");
}

} // namespace

extern const AttackMethod forge = {
    .name = "forge",
    .help = "loss towards a target, weighed against the squared distance",
    .options = {"target", "steps", "loss=l1", "loss=l2", "lambda", "start", "within", "optimiser",
                "lr", "confidence"},
    .bounded = false,
    .needs_target = true,
    .steps = 500,
    .text = start_text,
    .prepare = prepared<Forge>,
};

} // namespace patchforge::methods
