// From where forging is quickest: the patch itself, another of its class, noise. What is forged
// must be called the target and still look like the patch.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "host/trial/attack_table.h"
#include "tests/host/attack/attacked_models.h"

namespace patchforge::testing {
namespace {

constexpr std::int64_t classes = 3, pixels = 48, starts = 12;

// Patches that lie near the template of their class, and the classifier that names the nearest
// template: logit_k = s (2 t_k . x - ||t_k||^2) in [-1, 1] units.
struct Problem {
    std::unique_ptr<ClassifierModel> model;
    AttackSet set;
};

Problem problem(Backend& backend, std::uint64_t seed) {
    std::mt19937_64 engine(seed);
    const auto level = [&](int low, int high) {
        return static_cast<int>(low + engine() % static_cast<std::uint64_t>(high - low + 1));
    };
    std::vector<int> templates(classes * pixels);
    for (int& t : templates) {
        t = level(60, 195);
    }
    const ClassifierFormat format = format_of(1, 6, 8, classes);
    const float scale = 0.5f;
    std::vector<float> weight, bias;
    for (std::int64_t k = 0; k < classes; ++k) {
        float square = 0;
        for (std::int64_t p = 0; p < pixels; ++p) {
            const float t =
                2.0f * static_cast<float>(templates[static_cast<std::size_t>(k * pixels + p)]) /
                    255.0f -
                1.0f;
            weight.push_back(2 * scale * t);
            square += t * t;
        }
        bias.push_back(-scale * square);
    }
    Problem made{model_of(backend, classifier_shape(format, {}, 0), format, {weight, bias}), {}};
    for (std::int64_t i = 0; i < starts; ++i) {
        const std::int64_t label = i % classes;
        made.set.labels.push_back(static_cast<std::int32_t>(label));
        for (std::int64_t p = 0; p < pixels; ++p) {
            made.set.levels.push_back(static_cast<std::uint8_t>(
                templates[static_cast<std::size_t>(label * pixels + p)] + level(-35, 35)));
        }
    }
    return made;
}

// Mean steps to success over a set's samples; one that never succeeds counts as all steps and one.
double mean_steps(const Problem& of, AttackOptions options, AttackOptions::Start start) {
    options.start = start;
    const AttackResult result =
        AttackRunner({of.model.get()}, nullptr, of.set, options).run(0, options.lambdas.front());
    double sum = 0;
    for (std::size_t i = 0; i < result.samples.size(); ++i) {
        const SampleOutcome& sample = result.samples[i];
        EXPECT_EQ(sample.clean, of.set.labels[i]);
        EXPECT_EQ(sample.steps >= 0, sample.broken(of.set.labels[i]));
        if (sample.steps >= 0) {
            EXPECT_LE(sample.l2, options.within * (1 + 1e-6));
        } else {
            EXPECT_EQ(sample.linf, 0) << "not put back";
        }
        sum += static_cast<double>(sample.steps >= 0 ? sample.steps : options.steps + 1);
    }
    return sum / static_cast<double>(starts);
}

TEST(ForgeStart, ThePatchItselfBeforeAnotherOfItsClassBeforeNoise) {
    const auto backend = make_backend("cpu");
    AttackOptions options;
    options.method = attack_method("forge");
    options.target = AttackOptions::Target::random;
    options.steps = 300;
    options.lambdas = {0.5};
    options.within = 1.2;
    options.batch_size = starts;
    using Start = AttackOptions::Start;
    std::array<double, 3> total{};
    int self_first = 0, noise_last = 0;
    constexpr int seeds = 12;
    for (int seed = 1; seed <= seeds; ++seed) {
        const Problem one = problem(*backend, static_cast<std::uint64_t>(seed));
        options.seed = static_cast<std::uint64_t>(seed);
        const double self = mean_steps(one, options, Start::self);
        const double other = mean_steps(one, options, Start::other);
        const double noise = mean_steps(one, options, Start::noise);
        total[0] += self;
        total[1] += other;
        total[2] += noise;
        self_first += self <= other;
        noise_last += other <= noise;
        EXPECT_LT(self, static_cast<double>(options.steps) / 2) << "seed " << seed;
    }
    // A trend, not a law: of every seed by itself nothing is asked.
    EXPECT_LT(total[0], total[1]);
    EXPECT_LT(total[1], total[2]);
    EXPECT_GE(self_first, seeds - 2);
    EXPECT_GE(noise_last, seeds - 2);
}

} // namespace
} // namespace patchforge::testing
