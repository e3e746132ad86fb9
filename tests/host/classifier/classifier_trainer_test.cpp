// What must hold for the classifier's recorded iteration whatever it is run on.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>

#include "host/classifier/classifier_trainer.h"
#include "host/files/safetensors.h"
#include "tests/host/train/random_patches.h"
#include "tests/host/train/restored.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

constexpr unsigned seed = 92;

struct Patches : testing::RandomPatches {
    Patches(std::int64_t count, int channels, int height, int width)
        : RandomPatches(seed, count, channels, height, width, 3) {}
    ClassifierFormat format() const {
        return {rows.channels, rows.height, rows.width, {"a", "b", "c"}, false};
    }
};

ClassifierOptions small_options() {
    ClassifierOptions options;
    options.batch_size = 4;
    options.hidden_dims = {33, 16};
    options.learning_rate = 1e-3;
    options.seed = seed;
    return options;
}

// Everything at once that a step may do.
ClassifierOptions every_defence() {
    ClassifierOptions options = small_options();
    set_adversarial_method(options.adversarial, "pgd-2");
    options.adversarial.epsilon = 8 / 255.0;
    options.adversarial.pairing = 0.5;
    options.augmentation = Augmentation::flips;
    options.noise = 0.05;
    options.class_weights = ClassWeights::balanced;
    return options;
}

// A convolution with batch normalisation, every change of patches, and averaged weights.
ClassifierOptions every_change() {
    ClassifierOptions options = small_options();
    options.network = "3x6x6; conv 3>4 k3 p1 norm=batch relu; pool global; linear 4>3";
    options.augmentation = Augmentation::flips;
    options.stain_jitter = 0.1;
    options.translation = 1;
    options.cutout = 2;
    options.ema = 0.8;
    options.rates.shape = RateOptions::Shape::cosine;
    return options;
}

std::vector<float> values_of(Backend& backend, Matrix<const float> matrix) {
    std::vector<float> values(static_cast<std::size_t>(matrix.size()));
    backend.download(values.data(), matrix.data, values.size() * sizeof(float));
    return values;
}

class ClassifierTrainerTest : public testing::BackendTest {};

TEST_P(ClassifierTrainerTest, ResumedRunEndsInTheSameBytes) {
    const Patches patches(11, 3, 6, 6);
    for (const ClassifierOptions& options : {small_options(), every_defence(), every_change()}) {
        ClassifierTrainer whole(backend(), options, patches.format(), patches.rows);
        whole.run(9);
        ClassifierTrainer first(backend(), options, patches.format(), patches.rows);
        first.run(4);
        ClassifierTrainer second(backend(), options, patches.format(), patches.rows);
        second.run(2); // what it did before must not matter
        testing::restore(second, first.checkpoint());
        EXPECT_EQ(second.step(), 4u);
        for (int i = 0; i < 5; ++i) {
            second.run(1);
        }
        EXPECT_EQ(whole.checkpoint(), second.checkpoint()) << options.adversarial.name();
        EXPECT_EQ(whole.judged().hash(), second.judged().hash());
    }
}

TEST_P(ClassifierTrainerTest, StreamedPatchesTrainLikeResidentOnes) {
    Patches patches(23, 3, 4, 5);
    patches.rows.subset = {0, 2, 3, 5, 7, 11, 13, 17, 19, 21, 22};
    ClassifierTrainer resident(backend(), every_defence(), patches.format(), patches.rows,
                               Placement::resident);
    ClassifierTrainer streamed(backend(), every_defence(), patches.format(), patches.rows,
                               Placement::streamed);
    resident.run(7);
    streamed.run(7);
    EXPECT_EQ(resident.checkpoint(), streamed.checkpoint());
}

// Each change of the patches by itself, in batches of 4 and 3: what the network saw is the same operation
// on the patches that a plain run of the same seed saw.
TEST_P(ClassifierTrainerTest, PatchesAreChangedAsAsked) {
    const Patches patches(11, 3, 6, 6);
    const Extent extent{3, 6, 6};
    const auto seen = [&](const std::function<void(ClassifierOptions&)>& change) {
        ClassifierOptions options = small_options();
        change(options);
        ClassifierTrainer trainer(backend(), options, patches.format(), patches.rows);
        trainer.run(2);
        return values_of(backend(), trainer.last_batch());
    };
    const std::vector<float> plain = seen([](ClassifierOptions&) {});
    DeviceArray<float> x(backend(), std::ssize(plain)), y(backend(), std::ssize(plain));
    x.upload(plain.data(), std::ssize(plain));
    const auto random = [](std::uint32_t use) {
        return RandomStream{
            seed, static_cast<std::uint32_t>(Purpose::augmentation) + use, {nullptr, 1, 1}};
    };
    const auto expect_same = [&](const std::vector<float>& values, const char* what) {
        const std::vector<float> expected = values_of(backend(), y.matrix(4, 108));
        ASSERT_EQ(values.size(), expected.size());
        std::size_t moved = 0;
        for (std::size_t e = 0; e < values.size(); ++e) {
            ASSERT_FALSE(!(std::fabs(values[e] - expected[e]) <= 3e-5))
                << what << " " << e; // stains are logarithms of pixels
            moved += values[e] != plain[e];
        }
        EXPECT_GT(moved, 0u) << what;
    };
    backend().translate(y.matrix(4, 108), x.matrix(4, 108), extent, 2, random(4));
    expect_same(seen([](ClassifierOptions& o) { o.translation = 2; }), "translation");
    backend().cutout(y.matrix(4, 108), x.matrix(4, 108), extent, 3, random(5));
    expect_same(seen([](ClassifierOptions& o) { o.cutout = 3; }), "cutout");
    backend().jitter_stain(y.matrix(4, 108), x.matrix(4, 108),
                           {0.1f, 0.1f, PixelRange::signed_unit, random(3)});
    expect_same(seen([](ClassifierOptions& o) { o.stain_jitter = 0.1; }), "stain");
    DeviceArray<float> turned(backend(), std::ssize(plain));
    backend().dihedral(turned.matrix(4, 108), x.matrix(4, 108), extent, random(0));
    backend().translate(y.matrix(4, 108), turned.matrix(4, 108), extent, 1, random(4));
    expect_same(seen([](ClassifierOptions& o) {
                    o.augmentation = Augmentation::flips;
                    o.translation = 1;
                }),
                "turned, then shifted");
}

// After n steps the average holds (1 - d) sum d^(n - k) w_k + d^n w_0.
TEST_P(ClassifierTrainerTest, AverageFollowsTheWeights) {
    const Patches patches(11, 3, 6, 6);
    ClassifierOptions options = every_change();
    ClassifierTrainer trainer(backend(), options, patches.format(), patches.rows);
    const auto weights = [&](ClassifierModel& model) {
        const TensorFile file = model.weights();
        const auto values = f32(file.at("0.weight"));
        return std::vector<double>(values.begin(), values.end());
    };
    std::vector<double> expected = weights(trainer.model());
    for (int step = 0; step < 5; ++step) {
        trainer.run(1);
        const std::vector<double> now = weights(trainer.model());
        for (std::size_t e = 0; e < now.size(); ++e) {
            expected[e] = 0.8 * expected[e] + 0.2 * now[e];
        }
    }
    const std::vector<double> average = weights(trainer.judged()), last = weights(trainer.model());
    double apart = 0;
    for (std::size_t e = 0; e < expected.size(); ++e) {
        ASSERT_FALSE(!(std::fabs(average[e] - expected[e]) <= 1e-6)) << e;
        apart = std::max(apart, std::fabs(average[e] - last[e]));
    }
    EXPECT_GT(apart, 1e-4);
}

// Rows that are attacked stay within eps of their clean rows and inside the box, and are not the
// clean rows. Batches of 4 and of 3.
TEST_P(ClassifierTrainerTest, AdversarialRowsStayInBallAndBox) {
    const Patches patches(11, 1, 6, 6);
    for (const char* method : {"fgsm", "pgd-1", "pgd-3"}) {
        ClassifierOptions options = small_options();
        set_adversarial_method(options.adversarial, method);
        options.adversarial.epsilon = 8 / 255.0;
        options.adversarial.alpha = 6 / 255.0; // three steps would leave the ball
        ClassifierTrainer trainer(backend(), options, patches.format(), patches.rows);
        for (int step = 0; step < 3; ++step) {
            trainer.run(1);
            const std::vector<float> rows = values_of(backend(), trainer.last_batch());
            ASSERT_EQ(rows.size(), (step == 2 ? 2u * 3u : 2u * 4u) * 36u);
            double farthest = 0;
            std::size_t moved = 0;
            for (std::size_t i = 0; i < rows.size() / 2; ++i) {
                const double forged = rows[rows.size() / 2 + i];
                farthest = std::max(farthest, std::abs(forged - rows[i]) / 2);
                moved += forged != rows[i];
                ASSERT_TRUE(forged >= -1 && forged <= 1) << forged;
            }
            // The scaling to [-1, 1] rounds twice.
            EXPECT_TRUE(farthest <= 8 / 255.0 + 1e-7) << method << ": " << farthest;
            EXPECT_GE(farthest, 5 / 255.0) << method;
            EXPECT_GT(moved, rows.size() / 4) << method;
        }
    }
}

// The adversary sees the network in evaluation mode: forging in four steps moves the running statistics
// no further than in one. The budget is next to nothing, so that both forge the same patches.
TEST_P(ClassifierTrainerTest, ForgingLeavesRunningStatisticsAlone) {
    const Patches patches(11, 3, 6, 6);
    std::vector<float> first;
    for (const char* method : {"pgd-1", "pgd-4"}) {
        ClassifierOptions options = small_options();
        options.network = "3x6x6; conv 3>4 k3 p1 norm=batch relu; pool global; linear 4>3";
        set_adversarial_method(options.adversarial, method);
        options.adversarial.epsilon = 1e-7;
        ClassifierTrainer trainer(backend(), options, patches.format(), patches.rows);
        const auto running = [&] {
            return values_of(backend(), trainer.model().network().running_statistics(0));
        };
        const std::vector<float> before = running();
        trainer.run(1);
        const std::vector<float> after = running();
        first = first.empty() ? after : first;
        for (std::size_t e = 0; e < after.size(); ++e) {
            EXPECT_FALSE(!(std::fabs(after[e] - first[e]) <= 1e-6)) << method << " " << e;
            EXPECT_NE(after[e], before[e]);
        }
    }
}

// FGSM climbs the loss of the network without dropout, for every row. A rate of 1e-30 leaves the
// weights as they were when it was forged.
TEST_P(ClassifierTrainerTest, ForgedRowsHaveAHigherLoss) {
    const Patches patches(8, 1, 6, 6);
    ClassifierOptions options = small_options();
    options.batch_size = 8;
    options.learning_rate = 1e-30;
    set_adversarial_method(options.adversarial, "fgsm");
    options.adversarial.epsilon = 2 / 255.0; // small enough for the loss to be nearly linear
    ClassifierTrainer trainer(backend(), options, patches.format(), patches.rows);
    trainer.run(1);
    std::vector<float> rows = values_of(backend(), trainer.last_batch());
    for (float& value : rows) {
        value = (value + 1) / 2;
    }
    const std::vector<float> p = trainer.model().probabilities(std::span<const float>(rows));
    // Which label a row has is not told: the label's probability must fall for the label it was
    // forged against, and each clean row is one of the patches.
    for (std::size_t b = 0; b < 8; ++b) {
        std::size_t patch = 8;
        for (std::size_t i = 0; i < 8; ++i) {
            bool same = true;
            for (std::size_t e = 0; e < 36; ++e) {
                same = same && std::abs(rows[b * 36 + e] * 255 - patches.bytes[i * 36 + e]) < 0.01;
            }
            patch = same ? i : patch;
        }
        ASSERT_LT(patch, 8u);
        const auto label = static_cast<std::size_t>(patches.labels[patch]);
        EXPECT_LT(p[(8 + b) * 3 + label], p[b * 3 + label]) << "row " << b;
    }
}

// The clean rows of the double batch see the same masks as in plain training; with no weight the
// others must not matter, whatever was forged. Sums of more rows round otherwise.
TEST_P(ClassifierTrainerTest, AdversarialRowsWithoutWeightChangeNothing) {
    const Patches patches(11, 1, 6, 6);
    ClassifierOptions options = small_options();
    ClassifierTrainer plain(backend(), options, patches.format(), patches.rows);
    set_adversarial_method(options.adversarial, "pgd-2");
    options.adversarial.weight = 0;
    ClassifierTrainer weightless(backend(), options, patches.format(), patches.rows);
    plain.run(6);
    weightless.run(6);
    const TensorFile ours = plain.model().weights();
    const TensorFile theirs = weightless.model().weights();
    for (const Tensor& tensor : ours.tensors) {
        const auto a = f32(tensor);
        const auto b = f32(theirs.at(tensor.name));
        for (std::size_t i = 0; i < a.size(); ++i) {
            // Six steps of Adam move a weight by up to 6e-3.
            ASSERT_TRUE(std::abs(a[i] - b[i]) <= 2e-5f) << tensor.name << " " << i;
        }
    }
}

PATCHFORGE_ON_EVERY_BACKEND(ClassifierTrainerTest);

TEST(BalancedClassWeights, AreInverseToTheShares) {
    Patches patches(8, 1, 1, 1);
    patches.labels = {0, 0, 0, 1, 2, 2, 1, 1};
    patches.rows.subset = {0, 1, 2, 3, 4, 5}; // three, one, two
    const std::vector<float> weights = balanced_class_weights(patches.rows, 3);
    ASSERT_EQ(weights.size(), 3u);
    EXPECT_FLOAT_EQ(weights[0], 6 / (3 * 3.0f));
    EXPECT_FLOAT_EQ(weights[1], 6 / (3 * 1.0f));
    EXPECT_FLOAT_EQ(weights[2], 6 / (3 * 2.0f));
}

TEST(ClassifierTrainer, RefusesLabelsThatAreNotThere) {
    const auto backend = make_backend("cpu");
    Patches patches(8, 1, 2, 2);
    patches.labels[3] = -1;
    EXPECT_THROW(ClassifierTrainer(*backend, small_options(), patches.format(), patches.rows),
                 std::invalid_argument);
    patches.labels[3] = 3;
    EXPECT_THROW(ClassifierTrainer(*backend, small_options(), patches.format(), patches.rows),
                 std::invalid_argument);
    patches.rows.subset = {0, 1, 2}; // the bad row is not used
    EXPECT_NO_THROW(ClassifierTrainer(*backend, small_options(), patches.format(), patches.rows));
    patches.rows.labels = {};
    EXPECT_THROW(ClassifierTrainer(*backend, small_options(), patches.format(), patches.rows),
                 std::invalid_argument);
}

TEST(ClassifierTrainer, RefusesAHeadThatItWouldNotLearnFrom) {
    const Patches patches(11, 3, 6, 6);
    ClassifierOptions options = small_options();
    options.network =
        "3x6x6; conv 3>4 k3 p1 relu as=x; conv 4>1 k1 head; pool global from=x; linear 4>3";
    const auto backend = make_backend("cpu");
    try {
        ClassifierTrainer(*backend, options, patches.format(), patches.rows);
        ADD_FAILURE() << "not refused";
    } catch (const std::invalid_argument& error) {
        EXPECT_NE(std::string(error.what()).find("take the word out"), std::string::npos)
            << error.what();
    }
}

std::string refusal(const std::function<void(ClassifierOptions&)>& change) {
    ClassifierOptions options;
    try {
        change(options);
        options.validate();
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "not refused";
}

TEST(ClassifierOptions, AreRefusedByName) {
    const auto method = [](const std::string& name) {
        return refusal([&](ClassifierOptions& o) { set_adversarial_method(o.adversarial, name); });
    };
    EXPECT_EQ(method("none"), "not refused");
    EXPECT_EQ(method("fgsm"), "not refused");
    EXPECT_EQ(method("pgd-7"), "not refused");
    for (const char* wrong :
         {"", "pgd", "pgd-", "pgd-0", "pgd--1", "pgd-5x", "pgd-1001", "PGD-5"}) {
        EXPECT_EQ(method(wrong).find("--adversarial-training " + std::string(wrong)), 0u) << wrong;
    }
    EXPECT_EQ(refusal([](auto& o) { o.adversarial.pairing = 1; }).find("--logit-pairing 1"), 0u);
    EXPECT_EQ(refusal([](auto& o) { o.adversarial.epsilon = 0; }).find("--adv-eps 0"), 0u);
    EXPECT_EQ(refusal([](auto& o) { o.adversarial.alpha = -1; }).find("--adv-alpha -1"), 0u);
    EXPECT_EQ(refusal([](auto& o) { o.adversarial.weight = -1; }).find("--adv-weight -1"), 0u);
    EXPECT_EQ(refusal([](auto& o) { o.choose_threshold = true; }).find("--threshold validation"),
              0u);
    EXPECT_EQ(refusal([](auto& o) { o.threshold = 1; }).find("--threshold 1"), 0u);
    EXPECT_EQ(refusal([](auto& o) { o.noise = std::nan(""); }).find("--noise"), 0u);
    EXPECT_EQ(refusal([](auto& o) { o.hidden_dims = {0}; }).find("--hidden-dims 0"), 0u);
    EXPECT_EQ(refusal([](auto& o) { o.test_patients = 0; }).find("--test-patients 0"), 0u);
}

TEST(AdversarialTraining, StepSizes) {
    AdversarialTraining training;
    training.epsilon = 0.04;
    set_adversarial_method(training, "pgd-5");
    EXPECT_DOUBLE_EQ(training.step_size(), 0.02);
    training.alpha = 0.01;
    EXPECT_DOUBLE_EQ(training.step_size(), 0.01);
    set_adversarial_method(training, "fgsm");
    EXPECT_DOUBLE_EQ(training.step_size(), 0.04);
    EXPECT_EQ(training.steps, 1);
}

} // namespace
} // namespace patchforge
