// Drawings made to look real: the beginning, the history, the local loss, state.
#include "host/translate/refine_trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "host/files/safetensors.h"
#include "host/translate/translate_networks.h"
#include "host/translate/translator.h"
#include "tests/host/attack/attacked_models.h"
#include "tests/host/train/random_patches.h"
#include "tests/host/train/restored.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

class RefineTrainerTest : public testing::BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(RefineTrainerTest);

TranslateOptions refine_game() {
    TranslateOptions options;
    choose_mode(options, TranslationMode::refine);
    options.width = options.width_d = 3;
    options.blocks = options.layers_d = 1;
    options.batch_size = 5; // two of the five fakes are earlier ones
    options.pool = 7;
    options.steps = 8;
    options.seed = 11;
    return options;
}

using Pictures = std::vector<std::vector<float>>;

Pictures rows_of(std::span<const float> values, std::int64_t pixels) {
    Pictures rows;
    for (std::int64_t first = 0; first < std::ssize(values); first += pixels) {
        const auto begin = values.begin() + first;
        rows.emplace_back(begin, begin + pixels);
    }
    return rows;
}

Pictures history_of(const RefineTrainer& trainer, std::int64_t pixels) {
    const TensorFile state =
        decode_safetensors(trainer.checkpoint().at("state.safetensors"), "state");
    return rows_of(f32(state.at("history")), pixels);
}

TEST_P(RefineTrainerTest, HalfOfTheFakesComeFromAHistoryThatHoldsEarlierIterations) {
    const testing::RandomPatches drawings(1, 9, 1, 10, 10), real(2, 6, 1, 10, 10);
    constexpr std::int64_t pixels = 100, batch = 5, earlier = 2;
    TranslateOptions options = refine_game();
    options.flips = false;
    options.learning_rate = 0.01; // what is made now is not what was made
    RefineTrainer trainer(backend(), options, drawings.rows, real.rows);
    Pictures before = history_of(trainer, pixels);
    EXPECT_EQ(before.size(), 7u); // drawings, before anything was made
    std::set<std::vector<float>> initial(before.begin(), before.end()), recalled, fresh;
    for (int iteration = 0; iteration < 24; ++iteration) {
        trainer.run(1);
        const Pictures shown = rows_of(trainer.shown(), pixels);
        ASSERT_EQ(std::ssize(shown), 2 * batch);
        std::set<std::vector<float>> now;
        for (std::int64_t b = batch; b < 2 * batch - earlier; ++b) {
            fresh.insert(shown[static_cast<std::size_t>(b)]);
        }
        for (std::int64_t b = 2 * batch - earlier; b < 2 * batch; ++b) {
            const auto& picture = shown[static_cast<std::size_t>(b)];
            EXPECT_GE(std::ranges::count(before, picture), 1) << "row " << b;
            now.insert(picture);
        }
        EXPECT_EQ(std::ssize(now), earlier); // none of them twice
        recalled.merge(now);
        before = history_of(trainer, pixels);
    }
    // Most of what was recalled had been made since the beginning, and is not what was made last: only the
    // first three of five that each iteration made are seen here.
    std::int64_t made_since = 0, seen_before = 0;
    for (const auto& picture : recalled) {
        made_since += !initial.contains(picture);
        seen_before += fresh.contains(picture);
    }
    EXPECT_GT(made_since, 10);
    EXPECT_GT(seen_before, 5);
}

// The last batch alone never fills a history that is larger.
TEST_P(RefineTrainerTest, TheHistoryMixesIterations) {
    const testing::RandomPatches drawings(3, 12, 1, 10, 10), real(4, 6, 1, 10, 10);
    TranslateOptions options = refine_game();
    options.pool = 20;
    options.learning_rate = 0.01;
    RefineTrainer trainer(backend(), options, drawings.rows, real.rows);
    trainer.run(8); // 20 of 40 pictures filled it
    const Pictures filled = history_of(trainer, 100);
    trainer.run(1);
    const Pictures after = history_of(trainer, 100);
    std::int64_t replaced = 0;
    for (std::size_t row = 0; row < filled.size(); ++row) {
        replaced += filled[row] != after[row];
    }
    EXPECT_GE(replaced, 1);
    EXPECT_LE(replaced, 5);
}

// Shows what the game is weighed with.
class RefineLosses : public RefineTrainer {
  public:
    RefineLosses(Backend& backend, const TranslateOptions& options, const PatchRows& patches)
        : RefineTrainer(backend, options, patches, patches) {}

    double of_refiner(const std::vector<float>& map) {
        const std::int64_t count = std::ssize(map);
        DeviceArray<float> logit(backend_, count), d(backend_, count), metrics(backend_, 2);
        logit.upload(map.data(), count);
        generator_loss(d.matrix(1, count), metrics.view(), logit.matrix(1, count), 1);
        float value = 0;
        metrics.download(&value, 1);
        return value;
    }
};

TEST_P(RefineTrainerTest, LocalLossIsTheSoftmaxOfTheField) {
    const testing::RandomPatches patches(1, 6, 3, 12, 12);
    RefineLosses losses(backend(), refine_game(), patches.rows);
    // Two places with logits (2, 1) and (-1, 0.5), class 0: the differences decide.
    EXPECT_NEAR(losses.of_refiner({2 - 1, -1 - .5f}), 1.007337482750, 1e-6);
}

// The published code ends in a ReLU, so that no answer could be "fake".
TEST(RefineNetworks, AnswersOfEveryPlaceMayHaveEitherSign) {
    const NetworkShape shape = patch_discriminator(refine_game(), {3, 50, 50});
    EXPECT_EQ(shape.layers.back().activation, Activation::identity);
    EXPECT_GT(shape.layers.back().out().plane(), 100);
    EXPECT_EQ(shape.layers.back().out().channels, 1);
}

TranslateOptions scales_game() {
    TranslateOptions options = refine_game();
    options.generator = GeneratorKind::refiner_scales;
    options.discriminator = Judging::two_scales;
    return options;
}

TEST(RefineNetworks, TakeEverySize) {
    for (const TranslateOptions& options : {refine_game(), scales_game()}) {
        for (const int side : {50, 49, 48, 28, 32, 11}) {
            EXPECT_EQ(translation_generator(options, {3, side, side}, 3).layers.back().out(),
                      (Extent{3, side, side}));
            EXPECT_EQ(patch_discriminator(options, {3, side, side}).layers.back().out().channels,
                      1);
        }
        EXPECT_EQ(translation_generator(options, {1, 32, 48}, 1).layers.back().out(),
                  (Extent{1, 32, 48}));
        EXPECT_EQ(patch_discriminator(options, {1, 31, 44}).in, (Extent{1, 31, 44}));
    }
    EXPECT_EQ(patch_discriminator(scales_game(), {3, 50, 50}).heads().size(), 3u);
    EXPECT_THROW(translation_generator(scales_game(), {3, 3, 3}, 3), std::invalid_argument);
    EXPECT_THROW(patch_discriminator(scales_game(), {3, 3, 3}), std::invalid_argument);
}

TEST_P(RefineTrainerTest, BeginsAsTheIdentity) {
    const testing::RandomPatches patches(5, 6, 3, 9, 9);
    for (TranslateOptions options : {refine_game(), scales_game()}) {
        RefineTrainer once(backend(), options, patches.rows, patches.rows);
        EXPECT_EQ(once.run(1).front().front(), 0); // the first metric is the change of a pixel
        options.refiner_steps = 2;
        // As many channels as colours: what gives colours alone begins with zeros.
        RefineTrainer before(backend(), options, patches.rows, patches.rows);
        const Network& refiner = before.network("generator");
        std::int64_t zeros = 0;
        for (std::int64_t l = 0; l < refiner.layer_count(); ++l) {
            if (refiner.shape().layers[static_cast<std::size_t>(l)].has_weights()) {
                float first = 0;
                backend().download(&first, refiner.weight(l).flat().data, sizeof(float));
                zeros += first == 0;
            }
        }
        EXPECT_EQ(zeros, options.generator == GeneratorKind::refiner ? 1 : 3);
        RefineTrainer twice(backend(), options, patches.rows, patches.rows);
        EXPECT_GT(twice.run(1).front().front(), 0); // that of the second step
    }
}

// Equal drawings differ when refined, and a whole run is the same each time.
TEST_P(RefineTrainerTest, NoiseIsOfThePictureAndRepeatable) {
    const testing::RandomPatches drawings(5, 5, 1, 12, 12);
    TranslateOptions options = scales_game();
    options.learning_rate = 0.05;
    options.flips = false;
    const auto refined = [&] {
        RefineTrainer trainer(backend(), options, drawings.rows, drawings.rows);
        trainer.run(1);
        Translator translator(backend(), options, trainer.network("generator").weights());
        std::vector<Image> pictures;
        for (int i = 0; i < 17; ++i) { // more than are translated at once
            pictures.push_back({12, 12, 1, {drawings.bytes.begin(), drawings.bytes.begin() + 144}});
        }
        return translator.translate(pictures);
    };
    const std::vector<Image> once = refined();
    EXPECT_NE(once[0].pixels, once[1].pixels);
    EXPECT_NE(once[0].pixels, once[16].pixels);
    EXPECT_EQ(once[16].pixels, refined()[16].pixels);
}

TEST_P(RefineTrainerTest, TheDiscriminatorHasARateOfItsOwn) {
    const testing::RandomPatches patches(5, 6, 1, 9, 9);
    TranslateOptions options = refine_game();
    const auto weights = [&](const std::string& network) {
        RefineTrainer trainer(backend(), options, patches.rows, patches.rows);
        trainer.run(1);
        return trainer.checkpoint().at(network + ".safetensors");
    };
    const auto as_all = weights("discriminator");
    options.learning_rate_d = options.learning_rate;
    EXPECT_EQ(weights("discriminator"), as_all);
    options.learning_rate_d *= 2;
    EXPECT_NE(weights("discriminator"), as_all);
}

// The weight is that of the mean change of a pixel: it holds small pictures and large ones alike.
TEST_P(RefineTrainerTest, SelfRegularisationKeepsTheDrawingWhateverTheSize) {
    for (const int side : {8, 16}) {
        const testing::RandomPatches drawings(6, 6, 1, side, side), real(7, 6, 1, side, side);
        TranslateOptions options = refine_game();
        options.learning_rate = 0.02;
        const auto change = [&](double weight) {
            options.lambda_l1 = weight;
            RefineTrainer trainer(backend(), options, drawings.rows, real.rows);
            return trainer.run(8).back().front();
        };
        const double free = change(0), held = change(100);
        EXPECT_GT(free, 0.02) << side;
        EXPECT_LT(held, free / 2) << side;
    }
}

TEST_P(RefineTrainerTest, ResumesToTheSameBytes) {
    const testing::RandomPatches drawings(1, 11, 3, 10, 10), real(2, 7, 3, 10, 10);
    TranslateOptions options = refine_game();
    options.refiner_steps = 2;
    RefineTrainer whole(backend(), options, drawings.rows, real.rows);
    const auto metrics = whole.run(8);
    for (const std::int64_t cut : {1, 5}) {
        RefineTrainer first(backend(), options, drawings.rows, real.rows);
        first.run(cut);
        RefineTrainer second(backend(), options, drawings.rows, real.rows);
        testing::restore(second, first.checkpoint());
        EXPECT_EQ(second.run(8 - cut), std::vector(metrics.begin() + cut, metrics.end()));
        EXPECT_TRUE(second.checkpoint() == whole.checkpoint());
    }
}

// Drawings of two classes and a classifier of them that is not trained: its answers are wrong at first, and
// only the label's term turns them.
TEST_P(RefineTrainerTest, AClassifierKeepsTheLabel) {
    const testing::RandomPatches drawings(1, 10, 1, 8, 8, 2), real(2, 7, 1, 8, 8);
    const auto classifier = testing::random_model(backend(), testing::format_of(1, 8, 8, 2), 41);
    TranslateOptions options = refine_game();
    options.learning_rate = 0.02;
    options.lambda_l1 = 0;
    options.steps = 30;
    const auto cross_entropy = [&](double weight) {
        options.lambda_label = weight;
        RefineTrainer trainer(backend(), options, drawings.rows, real.rows, {}, {classifier.get()});
        EXPECT_EQ(trainer.metric_names().back(), "label");
        return trainer.run(30).back().back();
    };
    const double left = cross_entropy(0), kept = cross_entropy(20);
    EXPECT_GT(left, 0.1);
    EXPECT_LT(kept, 0.75 * left);
}

// The first iteration is one of drawings as they are: its label term is the cross-entropy of them by the mean
// of the classifiers' logits.
TEST_P(RefineTrainerTest, TheLabelTermBeginsAsThatOfDrawings) {
    const testing::RandomPatches drawings(1, 5, 3, 10, 10, 2), real(2, 7, 3, 10, 10);
    const auto one = testing::random_model(backend(), testing::format_of(3, 10, 10, 2), 41);
    const auto other = testing::random_model(backend(), testing::format_of(3, 10, 10, 2), 42);
    TranslateOptions options = refine_game(); // the five drawings are a batch
    options.flips = false;
    for (const std::vector<const ClassifierModel*>& asked :
         {std::vector<const ClassifierModel*>{one.get()}, {one.get(), other.get()}}) {
        RefineTrainer trainer(backend(), options, drawings.rows, real.rows, {}, asked);
        double expected = 0;
        std::vector<double> lead(5); // of the wrong class
        for (const ClassifierModel* classifier : asked) {
            const std::vector<float> logits = classifier->logits(drawings.bytes);
            for (std::size_t i = 0; i < 5; ++i) {
                const auto right = static_cast<std::size_t>(drawings.labels[i]);
                lead[i] += (logits[2 * i + 1 - right] - logits[2 * i + right]) /
                           static_cast<double>(asked.size());
            }
        }
        for (const double wrong : lead) {
            expected += std::log1p(std::exp(wrong)) / 5;
        }
        EXPECT_NEAR(trainer.run(1).front().back(), expected, 1e-5) << asked.size();
    }
}

TEST(RefineOptions, AClassifierBelongsToRefinement) {
    TranslateOptions options = refine_game();
    options.target = "real";
    options.classifier = {"classifier"};
    EXPECT_NO_THROW(options.validate());
    choose_mode(options, TranslationMode::cycle);
    EXPECT_THROW(options.validate(), std::invalid_argument);
}

TEST_P(RefineTrainerTest, ResumesWithAClassifier) {
    const testing::RandomPatches drawings(1, 11, 1, 8, 8, 2), real(2, 7, 1, 8, 8);
    const auto classifier = testing::random_model(backend(), testing::format_of(1, 8, 8, 2), 41);
    TranslateOptions options = refine_game();
    RefineTrainer whole(backend(), options, drawings.rows, real.rows, {}, {classifier.get()});
    const auto metrics = whole.run(6);
    RefineTrainer first(backend(), options, drawings.rows, real.rows, {}, {classifier.get()});
    first.run(2);
    RefineTrainer second(backend(), options, drawings.rows, real.rows, {}, {classifier.get()});
    testing::restore(second, first.checkpoint());
    EXPECT_EQ(second.run(4), std::vector(metrics.begin() + 2, metrics.end()));
    EXPECT_TRUE(second.checkpoint() == whole.checkpoint());
}

} // namespace
} // namespace patchforge
