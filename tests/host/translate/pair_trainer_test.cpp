// The step on pairs: one augmentation for both sides, the game's order, partial batches, state.
#include "host/translate/pair_trainer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "host/files/safetensors.h"
#include "host/translate/translator.h"
#include "tests/host/ranks/thread_ranks.h"
#include "tests/host/train/restored.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

class PairTrainerTest : public testing::BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(PairTrainerTest);

PicturePairs pairs_of(Extent source, Extent target, std::int64_t count) {
    PicturePairs pairs;
    pairs.source = source;
    pairs.target = target;
    pairs.count = count;
    for (std::int64_t i = 0; i < count * (source.size() + target.size()); ++i) {
        pairs.rows.push_back(static_cast<std::uint8_t>((i * 31 + i / 5 * 7 + i * i % 11) % 256));
    }
    return pairs;
}

TranslateOptions small_game(TranslationMode mode) {
    TranslateOptions options;
    choose_mode(options, mode);
    options.width = options.width_d = 2;
    options.blocks = 1;
    options.layers_d = 1;
    options.lambda_adversarial = 0.5;
    options.batch_size = 3;
    options.steps = 6;
    options.seed = 7;
    return options;
}

// Bytes that a run ends in, whether or not it was cut in two: dropout, partial batches, both rates.
TEST_P(PairTrainerTest, ResumesToTheSameBytes) {
    for (const TranslationMode mode :
         {TranslationMode::super_resolution, TranslationMode::paired}) {
        TranslateOptions options = small_game(mode);
        options.dropout = mode == TranslationMode::paired ? 0.5 : 0;
        const Extent source = mode == TranslationMode::paired ? Extent{1, 10, 10} : Extent{3, 5, 5};
        const PicturePairs pairs = pairs_of(source, {3, 10, 10}, 7); // batches of 3, 3 and 1
        PairTrainer whole(backend(), options, pairs);
        const auto metrics = whole.run(6);
        PairTrainer first(backend(), options, pairs);
        first.run(3);
        PairTrainer second(backend(), options, pairs);
        testing::restore(second, first.checkpoint());
        EXPECT_EQ(second.step(), 3u);
        EXPECT_EQ(second.run(3), std::vector(metrics.begin() + 3, metrics.end()));
        EXPECT_EQ(second.checkpoint(), whole.checkpoint());
    }
}

// Every target is what the network makes of its source, and it makes it the same way whatever the turn:
// it leaves the bicubic enlargement. Sides that were turned apart would differ.
TEST_P(PairTrainerTest, TurnsBothSidesAlike) {
    TranslateOptions options = small_game(TranslationMode::super_resolution);
    options.lambda_adversarial = 0;
    options.learning_rate = 1e-12;
    PicturePairs pairs = pairs_of({3, 4, 4}, {3, 8, 8}, 3);
    const auto without_detail = [&](Network& network) {
        for (std::int64_t l = 0; l < network.layer_count(); ++l) {
            if (network.shape().layers[static_cast<std::size_t>(l)].name == "detail") {
                backend().fill(network.weight(l).flat(), 0);
                backend().fill(network.bias(l), 0);
            }
        }
    };
    PairTrainer untrained(backend(), options, pairs);
    without_detail(untrained.generator());
    const std::int64_t row = pairs.source.size() + pairs.target.size();
    for (std::int64_t i = 0; i < pairs.count; ++i) {
        const auto begin = pairs.rows.begin() + i * row;
        const Image source{4, 4, 3, {begin, begin + pairs.source.size()}};
        const Image made =
            Translator(backend(), options, untrained.generator().weights()).translate({source})[0];
        std::ranges::copy(made.pixels, begin + pairs.source.size());
    }
    PairTrainer trainer(backend(), options, pairs);
    without_detail(trainer.generator());
    std::vector<double> distances;
    for (const std::vector<double>& metrics : trainer.run(6)) {
        EXPECT_FALSE(!(metrics[0] <= 0.5 / 127.5 + 0.03)) << metrics[0]; // cut to 8 bits
        distances.push_back(metrics[0]);
    }
    // The same three pictures every time, turned otherwise.
    for (const double distance : distances) {
        EXPECT_NEAR(distance, distances[0], 1e-6);
    }
}

TEST_P(PairTrainerTest, LearnsASmallSetByHeart) {
    TranslateOptions options = small_game(TranslationMode::super_resolution);
    options.lambda_adversarial = 0;
    options.steps = 60;
    options.width = 4;
    options.learning_rate = 1e-2;
    const PicturePairs pairs = pairs_of({3, 5, 5}, {3, 10, 10}, 3);
    PairTrainer trainer(backend(), options, pairs);
    const auto metrics = trainer.run(60);
    EXPECT_LT(metrics.back()[0], 0.8 * metrics.front()[0]);
}

TEST(PairTrainer, EndsInTheSameBytesOnAnyNumberOfRanks) {
    TranslateOptions options = small_game(TranslationMode::paired);
    options.batch_size = 4;
    const PicturePairs pairs = pairs_of({3, 12, 12}, {1, 12, 12}, 6); // a batch of 4, a batch of 2
    CheckpointFiles expected;
    std::vector<std::vector<double>> expected_metrics;
    for (const int ranks : {1, 2, 3}) {
        testing::ThreadRanks(ranks).run([&](Ranks& own) {
            const auto cpu = make_cpu_backend({.threads = 1});
            PairTrainer trainer(*cpu, options, pairs, Placement::automatic, {4, &own});
            const auto metrics = trainer.run(4);
            if (ranks == 1) {
                expected = trainer.checkpoint();
                expected_metrics = metrics;
            }
            EXPECT_TRUE(trainer.checkpoint() == expected) << own.name() << " of " << ranks;
            if (own.rank() == 0) {
                EXPECT_EQ(metrics, expected_metrics);
            }
        });
    }
    EXPECT_EQ(expected_metrics.size(), 4u);
}

} // namespace
} // namespace patchforge
