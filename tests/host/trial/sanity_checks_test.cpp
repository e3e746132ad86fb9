// Checks that expose a broken evaluation. They take many steps; nothing in them depends on the
// backend.
#include <gtest/gtest.h>

#include "host/trial/sanity_checks.h"
#include "tests/host/attack/attacked_models.h"

namespace patchforge::testing {
namespace {

constexpr std::int64_t checked = 21;

class SanityChecks : public ::testing::Test {
  protected:
    std::unique_ptr<Backend> backend = make_backend("cpu");
    std::unique_ptr<ClassifierModel> model = random_model(*backend, format_of(3, 5, 6, 3), 11);
    AttackSet set = set_for(*model, checked, 12);
};

TEST_F(SanityChecks, PassOnAPlainModel) {
    const auto two = random_model(*backend, format_of(3, 5, 6, 2), 31);
    const AttackSet patches = set_for(*two, 40, 32);
    const std::vector<SanityCheck> checks =
        sanity_checks({{two.get()}, nullptr, 0.05, {}}, patches, 30);
    EXPECT_EQ(checks.size(), 4u);
    for (const SanityCheck& check : checks) {
        EXPECT_TRUE(check.good) << check.name << ": " << check.found;
    }
}

// Logits that do not depend on the pixels: no gradient, and no attack gets anywhere.
TEST_F(SanityChecks, WarnOfAModelWithoutGradients) {
    const ClassifierFormat format = format_of(1, 2, 2, 2);
    const auto dead = model_of(*backend, classifier_shape(format, {}, 0), format,
                               {std::vector<float>(8, 0), {0, 1}});
    const AttackSet patches{
        std::vector<std::uint8_t>(40, 100), std::vector<std::int32_t>(10, 1), {}};
    const std::vector<SanityCheck> checks =
        sanity_checks({{dead.get()}, nullptr, 0.05, {}}, patches, 10);
    EXPECT_FALSE(checks.at(0).good) << checks[0].found;
    EXPECT_FALSE(checks.at(1).good) << checks[1].found;
}

// An attack that breaks nothing, put beside the reference: the row that warns of weak attacks.
TEST_F(SanityChecks, WarnOfAWeakAttack) {
    const auto detector = random_model(*backend, format_of(3, 5, 6, 2), 21);
    for (const ClassifierModel* guard : {static_cast<const ClassifierModel*>(nullptr),
                                         static_cast<const ClassifierModel*>(detector.get())}) {
        Evaluation evaluation{{model.get()}, guard, 0.1, {}};
        EXPECT_EQ(sanity_checks(evaluation, set, checked).size(), 4u);
        evaluation.fallen.assign(checked, 0);
        const SanityCheck weak = sanity_checks(evaluation, set, checked).back();
        EXPECT_NE(weak.name.find("no weaker"), std::string::npos);
        EXPECT_FALSE(weak.good) << weak.found;
        AttackOptions pgd;
        pgd.batch_size = 16;
        pgd.steps = 80;
        const AttackResult strong =
            AttackRunner({model.get()}, guard, set, pgd).run(evaluation.epsilon);
        for (std::size_t i = 0; i < evaluation.fallen.size(); ++i) {
            evaluation.fallen[i] = strong.samples[i].broken(set.labels[i]);
        }
        const SanityCheck as_strong = sanity_checks(evaluation, set, checked).back();
        EXPECT_TRUE(as_strong.good) << as_strong.found;
    }
}

} // namespace
} // namespace patchforge::testing
