// What privacy measures: copies are caught, fresh fakes are not, few patients show nothing.
#include "host/privacy/privacy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/numerics/evenly_spaced.h"
#include "host/privacy/discriminator_scores.h"
#include "host/privacy/latent_recovery.h"
#include "host/ranks/shared_rows.h"
#include "tests/host/attack/attacked_models.h"
#include "tests/host/evaluate/images.h"
#include "tests/host/privacy/memoriser.h"
#include "tests/host/ranks/thread_ranks.h"
#include "tests/host/temporary_folder.h"

namespace patchforge::testing {
namespace {

constexpr int side = 10, of_patient = 8;

// Discs, each patient with a tint of its own.
ImageSet patients(int first, int count, std::uint64_t seed) {
    ImageSet all{{3, side, side}, {}, {}};
    for (int patient = first; patient < first + count; ++patient) {
        const ImageSet some = discs(of_patient, side, seed + static_cast<std::uint64_t>(patient),
                                    2.0 * (patient % 7));
        all.bytes.insert(all.bytes.end(), some.bytes.begin(), some.bytes.end());
        all.labels.insert(all.labels.end(), some.labels.begin(), some.labels.end());
        all.patients.insert(all.patients.end(), of_patient, patient);
    }
    return all;
}

Suspects suspects_of(int trained, int held_out, std::uint64_t seed) {
    return {patients(0, trained + held_out, seed), std::int64_t{trained} * of_patient};
}

Privacy measured(const Suspects& suspects, int trained, int held_out, const ImageSet& fakes,
                 std::uint64_t seed) {
    Privacy privacy;
    privacy.seed = seed;
    privacy.members = suspects.members;
    privacy.strangers = suspects.strangers();
    privacy.member_patients = trained;
    privacy.stranger_patients = held_out;
    measure_nearness(privacy, suspects, fakes, random_extractor(suspects.images.shape, 3, 1), 1);
    return privacy;
}

TEST(NearnessTest, ByHand) {
    const Features patches{4, 1, {0, 3, 10, 10}}, fakes{3, 1, {1, 4.5f, 10}};
    const Nearness found = nearness(patches, fakes, 1);
    EXPECT_EQ(found.fake[1].index, 1);
    EXPECT_DOUBLE_EQ(found.fake[1].distance, 1.5);
    EXPECT_DOUBLE_EQ(found.real[1].distance, 3);
    EXPECT_DOUBLE_EQ(found.relative(1), 0.5);
    EXPECT_EQ(found.real[2].index, 3);      // never itself
    EXPECT_DOUBLE_EQ(found.relative(2), 1); // the same patch twice, and its fake: no copy
    EXPECT_EQ(found.over(2, 1), std::numeric_limits<double>::infinity());
    EXPECT_EQ(copies_among(found, 0, 4), 1); // 1 / 3; exactly 1 / 2 is none
    EXPECT_THROW(nearness(patches, {0, 1, {}}, 1), std::invalid_argument);
}

TEST(NearnessTest, RanksShareTheRows) {
    PhiloxSequence random(31);
    Features patches{700, 5, {}}, fakes{90, 5, {}};
    for (Features* features : {&patches, &fakes}) {
        for (std::int64_t i = 0; i < features->count * features->dimension; ++i) {
            features->values.push_back(static_cast<float>(random.normal()));
        }
    }
    const Nearness alone = nearness(patches, fakes, 1);
    ThreadRanks(3).run([&](Ranks& ranks) {
        const SharedRows shared(&ranks);
        const Nearness together = nearness(patches, fakes, 1);
        for (std::size_t i = 0; i < 700; ++i) {
            EXPECT_EQ(together.fake[i].index, alone.fake[i].index);
            EXPECT_EQ(together.fake[i].distance, alone.fake[i].distance);
            EXPECT_EQ(together.real[i].index, alone.real[i].index);
            EXPECT_EQ(together.real[i].distance, alone.real[i].distance);
        }
    });
}

// As a user meets it: fakes drawn from a generator, and the generator itself.
TEST(PrivacyTest, CatchesAGeneratorThatMemorised64Patches) {
    const TemporaryFolder folder;
    const auto backend = make_backend("cpu");
    constexpr int trained = 8, held_out = 8;
    const Suspects suspects = suspects_of(trained, held_out, 100);
    const TensorFile weights =
        memorising_generator(*backend, std::span(suspects.images.bytes).first(64 * 3 * side * side),
                             {3, side, side, "", {}});
    write_safetensors(folder / "generator.safetensors", weights.tensors, weights.metadata);
    LoadedGenerator generator(*backend, folder / "generator.safetensors");
    const ImageSet fakes{
        suspects.images.shape, generator.images().bytes(generator.images().latents(400, 7)), {}};
    Privacy privacy = measured(suspects, trained, held_out, fakes, 5);
    EXPECT_TRUE(privacy.copied());
    EXPECT_TRUE(privacy.caught());
    EXPECT_GE(privacy.member_copies, 55);
    EXPECT_EQ(privacy.stranger_copies, 0);
    EXPECT_EQ(privacy.verdict().rfind("A leak", 0), 0u) << privacy.verdict();
    for (const PrivacyAttack& attack : privacy.attacks) {
        EXPECT_EQ(privacy.speaks(attack, Privacy::certain), attack.heard) << attack.words;
        EXPECT_GT(attack.result.auc, 0.9) << attack.words;
        EXPECT_GT(attack.result.found_interval.low, 0.5) << attack.words;
    }

    // Who holds the generator needs no fakes.
    const std::vector<double> distances =
        recovery_distances(generator, suspects.images, {.draws = 512, .steps = 5, .seed = 9});
    std::vector<float> scores;
    for (const double distance : distances) {
        scores.push_back(static_cast<float>(-distance));
    }
    privacy.judge("search", "", "generator", true, suspects, evenly_spaced(128, 128), scores);
    EXPECT_GT(privacy.attacks.back().result.found, 0.9);
    EXPECT_TRUE(privacy.speaks(privacy.attacks.back(), Privacy::certain));
}

// 64 patches of few patients among many: no division of patients shows that, copies do.
TEST(PrivacyTest, CatchesCopiesOfFewPatients) {
    constexpr int trained = 24, held_out = 8;
    const Suspects suspects = suspects_of(trained, held_out, 300);
    ImageSet fakes = patients(0, 40, 900); // of the right look, of nobody's patches
    const auto copied = static_cast<std::ptrdiff_t>(64 * 3 * side * side);
    std::copy_n(suspects.images.bytes.begin(), copied, fakes.bytes.begin());
    const Privacy privacy = measured(suspects, trained, held_out, fakes, 5);
    EXPECT_GE(privacy.member_copies, 64);
    EXPECT_TRUE(privacy.copied());
    EXPECT_NE(privacy.verdict().find("gives training patches back"), std::string::npos)
        << privacy.verdict();
}

TEST(PrivacyTest, CallsNoHonestGeneratorALeak) {
    constexpr int trained = 12, held_out = 8;
    int called = 0, suspected = 0;
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
        const Suspects suspects = suspects_of(trained, held_out, 1000 * seed);
        const Privacy privacy =
            measured(suspects, trained, held_out, patients(0, 30, 1000 * seed + 500), seed);
        called += privacy.caught();
        EXPECT_TRUE(privacy.enough_patients());
        suspected += privacy.suspected();
    }
    EXPECT_EQ(called, 0);
    EXPECT_LE(suspected, 1);
}

TEST(PrivacyTest, PlainDistancesAreNotHeard) {
    // Whatever they say: patients whose patches are smooth are near to all fakes.
    Privacy privacy;
    privacy.members = privacy.strangers = privacy.member_patients = privacy.stranger_patients = 20;
    const auto says = [&](bool heard, double chance) {
        privacy.attacks.push_back({"", "", "fakes", heard, {"", 0.7}, {chance, 1}});
    };
    says(false, 1e-4);
    EXPECT_EQ(privacy.strongest(), nullptr);
    says(true, 0.03);
    EXPECT_FALSE(privacy.caught() || privacy.suspected());
    EXPECT_EQ(privacy.verdict().rfind("No leak shown", 0), 0u) << privacy.verdict();
    says(true, 0.01); // two heard: 5 % are 0.0125 for one question, 1 % are 0.0025
    EXPECT_TRUE(privacy.suspected());
    EXPECT_EQ(privacy.verdict().rfind("Perhaps a leak", 0), 0u) << privacy.verdict();
    says(true, 0.001);
    EXPECT_TRUE(privacy.caught());
    EXPECT_EQ(privacy.verdict().rfind("A leak: who", 0), 0u) << privacy.verdict();
}

TEST(PrivacyTest, FewPatientsShowNothing) {
    const Privacy privacy =
        measured(suspects_of(3, 1, 7), 3, 1, patients(0, 10, 77), 1); // 4 divisions in all
    EXPECT_FALSE(privacy.enough_patients());
    EXPECT_FALSE(privacy.caught());
    EXPECT_EQ(privacy.verdict().rfind("Nothing shown either way", 0), 0u) << privacy.verdict();
    for (const PrivacyAttack& attack : privacy.attacks) {
        EXPECT_GT(attack.chance.auc, 0.2);
    }
}

// All divisions of five patients into three and two, by the definitions.
TEST(MembershipChanceTest, IsTheShareOfDivisionsThatDoAsWell) {
    const std::vector<float> by_patient[] = {{5, 4, 9}, {1, 8}, {3, 3, 7}, {2, 6, 0}, {4, 5, 1, 2}};
    const auto scored = [&](const std::vector<int>& some) {
        ScoredPatches side;
        for (const int patient : some) {
            for (const float score : by_patient[patient]) {
                side.scores.push_back(score);
                side.patients.push_back(patient);
            }
        }
        return side;
    };
    const ScoredPatches members = scored({0, 1, 2}), strangers = scored({3, 4});
    const double auc = area_under_curve_of_sets(members.scores, strangers.scores);
    const double found = found_at(members.scores, strangers.scores, 0.01);
    double auc_as_good = 0, found_as_good = 0;
    for (int a = 0; a < 5; ++a) {
        for (int b = a + 1; b < 5; ++b) {
            std::vector<int> rest;
            for (int patient = 0; patient < 5; ++patient) {
                if (patient != a && patient != b) {
                    rest.push_back(patient);
                }
            }
            const ScoredPatches in = scored(rest), out = scored({a, b});
            auc_as_good += area_under_curve_of_sets(in.scores, out.scores) >= auc;
            found_as_good += found_at(in.scores, out.scores, 0.01) >= found;
        }
    }
    EXPECT_DOUBLE_EQ(least_chance(3, 2), 0.1);
    const MembershipChance chance = chance_of(members, strangers, 3, 4000);
    EXPECT_NEAR(chance.auc, auc_as_good / 10, 0.03);
    EXPECT_NEAR(chance.found, found_as_good / 10, 0.03);
}

// Against the sum in float64, with and without classes, whatever the order of the batch.
TEST(DiscriminatorScoresTest, AreItsLogits) {
    const TemporaryFolder folder;
    for (const char* device : {"cpu", "cuda"}) {
        const auto backend = make_backend(device);
        for (const std::int64_t classes : {0, 2}) {
            const ImageSet images = discs(70, 4, 21); // more than a batch
            const std::int64_t pixels = 3 * 4 * 4;
            Network network(*backend,
                            multilayer_perceptron(pixels + classes, {}, 1, Activation::relu, 0,
                                                  false, 0, Activation::identity));
            network.initialise(4, 1);
            const TensorFile file = network.weights();
            write_safetensors(folder / "d.safetensors", file.tensors, file.metadata);
            const std::vector<float> scores = discriminator_scores(
                *backend, folder / "d.safetensors", images, classes, images.labels, 8);
            ASSERT_EQ(scores.size(), 70u);
            const auto weight = f32(file.tensors[0]), bias = f32(file.tensors[1]);
            for (std::size_t i = 0; i < scores.size(); ++i) {
                double logit = bias[0];
                for (std::int64_t p = 0; p < pixels; ++p) {
                    logit += weight[static_cast<std::size_t>(p)] *
                             (images.bytes[i * pixels + static_cast<std::size_t>(p)] / 127.5 - 1);
                }
                if (classes > 0) {
                    logit += weight[static_cast<std::size_t>(pixels + images.labels[i])];
                }
                EXPECT_TRUE(std::abs(scores[i] - logit) <= 1e-5) << device << " " << i;
            }
            EXPECT_THROW(discriminator_scores(*backend, folder / "d.safetensors", images,
                                              classes + 1, images.labels, 8),
                         std::runtime_error);
        }
    }
}

} // namespace
} // namespace patchforge::testing
