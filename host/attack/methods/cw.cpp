// Minimises ||x - x0||^2 + c max(-lead, -confidence) over w, x = (tanh(w) + 1) / 2, by Adam, with a
// binary search over c for every sample (Carlini & Wagner 2017); the lead is the margin of the wrong
// class, or of the target.
#include <algorithm>
#include <cmath>
#include <limits>

#include "host/attack/methods/distance_search.h"

namespace patchforge::methods {

namespace {

class CarliniWagner : public DistanceSearch {
  public:
    explicit CarliniWagner(const AttackScene& scene)
        : DistanceSearch(scene), w_(backend(), x_.size()), tanh_(backend(), x_.size()),
          weight_(backend(), scene.batch.capacity()),
          adam_(backend(), x_.size(), scene.options.learning_rate) {
        const AttackOptions& options = scene.options;
        // Untargeted, -c times the margin until it leads by `confidence`; targeted, c times the
        // margin until the target leads by it.
        WhiteBoxVictim::Goal goal{VictimLoss::margin, options.targeted()};
        goal.scale = weight_.view();
        (options.targeted() ? goal.low : goal.high) =
            static_cast<float>(options.targeted() ? -options.confidence : options.confidence);
        const Epilogue tanh{.activation = Activation::tanh, .random = {}};
        differentiate_ = backend().record([this, goal, tanh] {
            backend().activate(matrix(tanh_), matrix(w_), tanh);
            backend().affine(x_.view(), tanh_.view(), 0.5f, 0.5f);
            differentiate(goal, {1});
        });
        update_ = backend().record([this, tanh] {
            const Matrix<float> gradient = matrix(gradient_);
            backend().activation_gradient(gradient, gradient, matrix(tanh_), tanh);
            backend().affine(gradient.flat(), gradient.flat(), 0.5f, 0);
            adam_.step(w_.view(), gradient.flat());
        });
    }

    void run(std::size_t, double, double) override {
        const AttackOptions& options = scene_.options;
        begin();
        scene_.batch.restart();
        std::vector<float> w(static_cast<std::size_t>(x_.size()));
        backend().download(w.data(), scene_.batch.origin().data, w.size() * sizeof(float));
        std::transform(w.begin(), w.end(), w.begin(), [](float x0) {
            return static_cast<float>(std::atanh((2.0 * x0 - 1.0) * 0.999999)); // finite at 0 and 1
        });
        constexpr double none = std::numeric_limits<double>::infinity();
        std::vector<float> c(rows(), first_c);
        std::vector<double> low(rows(), 0), high(rows(), none);
        const std::int64_t steps = options.steps_of(scene_.batch.pixels());
        for (std::int64_t search = 0; search < options.search_steps; ++search) {
            w_.upload(w.data(), w_.size());
            std::vector<float> weight = c;
            for (float& value : weight) {
                value = options.targeted() ? value : -value;
            }
            weight_.set(weight);
            adam_.restart();
            std::vector<std::uint8_t> succeeded(rows(), 0);
            for (std::int64_t step = 0; step <= steps; ++step) {
                const std::vector<std::uint8_t> now = look(*differentiate_, search * steps + step);
                for (std::size_t r = 0; r < rows(); ++r) {
                    succeeded[r] |= now[r];
                }
                if (step < steps) {
                    update_->replay();
                }
            }
            for (std::size_t r = 0; r < rows(); ++r) {
                (succeeded[r] ? high[r] : low[r]) = c[r];
                c[r] = static_cast<float>(high[r] == none ? 10.0 * c[r] : (low[r] + high[r]) / 2);
            }
        }
    }

  private:
    static constexpr float first_c = 0.01f;

    DeviceArray<float> w_, tanh_; // the variable, and its tanh
    RowNumbers weight_;           // +-c
    InputAdam adam_;
    std::unique_ptr<Recording> differentiate_, update_;
};

} // namespace

extern const AttackMethod cw = {
    .name = "cw",
    .help = "the nearest example, by Adam and a search over its weight",
    .options = {"target", "steps", "lr", "search_steps", "confidence"},
    .bounded = false,
    .steps = 200,
    .prepare = prepared<CarliniWagner>,
};

} // namespace patchforge::methods
