// Attacks on a classifier behind a detector: what counts as right, and that every kind of attack
// knows both.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/files/json.h"
#include "host/page/text_table.h"
#include "host/trial/attack_table.h"
#include "tests/host/attack/attacked_models.h"

namespace patchforge::testing {
namespace {

constexpr std::int64_t guarded = 21;

AttackOptions guarded_options(const std::string& method) {
    AttackOptions options;
    options.method = attack_method(method);
    options.batch_size = 16;
    options.steps = options.method->sight == Sight::scores ? 0 : 12;
    options.queries = 300;
    options.directions = 20;
    return options;
}

class GuardedAttack : public ::testing::TestWithParam<const char*> {
  protected:
    // Says `stops` of every patch.
    std::unique_ptr<ClassifierModel> constant_detector(bool stops) {
        const ClassifierFormat format = format_of(3, 5, 6, 2);
        return model_of(*backend, classifier_shape(format, {}, 0), format,
                        {std::vector<float>(180, 0), {0, stops ? 1.0f : -1.0f}});
    }
    AttackSummary summary(const std::string& method, const ClassifierModel* detector,
                          double epsilon) {
        AttackOptions options = guarded_options(method);
        if (std::string(GetParam()) == "cuda") { // the executor is slow
            options.steps = std::min<std::int64_t>(options.steps, 4);
            options.queries = 90;
        }
        last = AttackRunner({model.get()}, detector, set, options).run(epsilon);
        return summarise(last, set, options, model->format().class_names, 90);
    }

    std::unique_ptr<Backend> backend = make_backend(GetParam());
    std::unique_ptr<ClassifierModel> model = random_model(*backend, format_of(3, 5, 6, 3), 11);
    AttackSet set = set_for(*model, guarded, 12);
    AttackResult last;
};
INSTANTIATE_TEST_SUITE_P(Every, GuardedAttack, ::testing::Values("cpu", "cuda"));

// How attacks compare takes many steps; it does not depend on the backend.
class GuardedStrength : public GuardedAttack {};
INSTANTIATE_TEST_SUITE_P(Cpu, GuardedStrength, ::testing::Values("cpu"));

TEST_P(GuardedAttack, ADetectorThatStopsEverythingIsNoDefence) {
    const auto detector = constant_detector(true);
    for (const std::string method : {"fgsm", "pgd", "square", "nes", "worst"}) {
        const AttackSummary s = summary(method, detector.get(), 0.05);
        EXPECT_EQ(s.clean_stopped, guarded) << method;
        EXPECT_EQ(s.correct, 0) << method;
        EXPECT_EQ(s.broken, 0) << method;
        EXPECT_EQ(s.robust_accuracy(), 0) << method;
        EXPECT_EQ(s.clean_accuracy(), 0) << method;
        EXPECT_EQ(s.balanced_accuracy, 0) << method;
        std::int64_t stopped = 0;
        for (const ClassCount& one : s.classes) {
            stopped += one.clean_stopped;
            EXPECT_EQ(one.wrong(), one.total) << method;
        }
        EXPECT_EQ(stopped, guarded) << method;
    }
    const std::vector<AttackSummary> one = {summary("fgsm", detector.get(), 0.05)};
    EXPECT_NE(table_text(table_columns(), table_rows(one)).find("clean stopped"),
              std::string::npos);
    EXPECT_NE(summaries_csv(one).find("n,clean_stopped,correct"), std::string::npos);
    EXPECT_NE(summaries_csv(one).find(",21,21,0,0,"), std::string::npos) << summaries_csv(one);
    EXPECT_EQ(summaries_json(one).back().at("clean_stopped").integer(), 21);
}

TEST_P(GuardedAttack, ADetectorThatStopsNothingChangesNothing) {
    const auto detector = constant_detector(false);
    for (const std::string method : {"fgsm", "square"}) {
        const AttackSummary with = summary(method, detector.get(), 0.05);
        const AttackSummary without = summary(method, nullptr, 0.05);
        EXPECT_EQ(with.clean_stopped, 0);
        EXPECT_EQ(without.clean_stopped, -1);
        EXPECT_EQ(with.correct, without.correct) << method;
        if (method == "square") { // fgsm's joint direction is another
            EXPECT_EQ(with.broken, without.broken);
        }
    }
    const std::vector<AttackSummary> plain = {summary("fgsm", nullptr, 0.05)};
    EXPECT_EQ(table_text(table_columns(), table_rows(plain)).find("clean stopped"),
              std::string::npos);
}

// "stopped" wins exactly where the detector stops; the classes keep their logits.
TEST_P(GuardedAttack, ABlackBoxAnswersForBoth) {
    const auto detector = random_model(*backend, format_of(3, 5, 6, 2), 21);
    BlackBoxVictim victim({model.get()}, guarded, guarded, detector.get());
    EXPECT_TRUE(victim.has_detector());
    std::vector<float> pixels;
    for (const std::uint8_t v : set.levels) {
        pixels.push_back(static_cast<float>(v) / 255.0f);
    }
    DeviceArray<float> x(*backend, std::ssize(pixels));
    x.upload(pixels.data(), std::ssize(pixels));
    std::vector<std::int64_t> asked(guarded);
    for (std::size_t i = 0; i < asked.size(); ++i) {
        asked[i] = static_cast<std::int64_t>(i);
    }
    const Matrix<const float> scores = victim.scores(x.matrix(guarded, 90), asked);
    ASSERT_EQ(scores.columns, 4);
    std::vector<float> joint(static_cast<std::size_t>(scores.size()));
    backend->download(joint.data(), scores.data, joint.size() * sizeof(float));
    const std::vector<float> logits = model->logits(std::span<const float>(pixels));
    const std::vector<float> alarms = detector->logits(std::span<const float>(pixels));
    std::int64_t stopped = 0;
    for (std::size_t r = 0; r < asked.size(); ++r) {
        float best = -std::numeric_limits<float>::infinity();
        for (std::size_t c = 0; c < 3; ++c) {
            EXPECT_NEAR(joint[4 * r + c], logits[3 * r + c], 1e-5);
            best = std::max(best, joint[4 * r + c]);
        }
        EXPECT_NEAR(joint[4 * r + 3], best + alarms[2 * r + 1] - alarms[2 * r], 1e-4);
        const bool stops = alarms[2 * r + 1] > alarms[2 * r];
        stopped += stops;
        EXPECT_EQ(joint[4 * r + 3] > best, stops) << r;
    }
    EXPECT_GT(stopped, 0);
    EXPECT_LT(stopped, guarded);
    EXPECT_EQ(victim.queries(), std::vector<std::int64_t>(guarded, 1));
}

TEST_P(GuardedAttack, EveryKindOfAttackFoolsBoth) {
    const auto detector = random_model(*backend, format_of(3, 5, 6, 2), 21);
    for (const std::string method : {"pgd", "square", "nes", "spsa", "worst"}) {
        const AttackSummary s = summary(method, detector.get(), 0.15);
        EXPECT_GT(s.correct, 3) << method;
        EXPECT_GT(s.clean_stopped, 3) << method;
        EXPECT_GT(s.broken, 0) << method;
        const std::vector<std::int32_t> called = model->predictions(last.levels);
        const std::vector<std::int32_t> stops = detector->predictions(last.levels);
        for (std::size_t i = 0; i < called.size(); ++i) {
            const SampleOutcome& sample = last.samples[i];
            EXPECT_EQ(sample.rounded_broken(set.labels[i]),
                      called[i] != set.labels[i] && stops[i] == 0)
                << method << " " << i;
            // Black boxes ask about nothing that is wrong or stopped anyway, and stop at success.
            if (!sample.right(set.labels[i]) && method != "pgd" && method != "worst") {
                EXPECT_EQ(sample.queries, 0) << method;
            }
        }
        EXPECT_EQ(last.violations.ball + last.violations.box, 0) << method;
    }
}

TEST_P(GuardedStrength, TheWorstIsNoWeakerThanItsParts) {
    const auto detector = random_model(*backend, format_of(3, 5, 6, 2), 21);
    const std::int64_t worst = summary("worst", detector.get(), 0.1).broken;
    for (const std::string method : {"pgd", "square"}) {
        EXPECT_GE(worst, summary(method, detector.get(), 0.1).broken) << method;
    }
    // As an attack without gradients finds out too: through both, not through one of them.
    EXPECT_GT(worst, 0);
}

} // namespace
} // namespace patchforge::testing
