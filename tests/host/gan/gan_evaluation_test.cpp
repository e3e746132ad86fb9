// A GAN measured while it trains: what is measured, what is remembered, what is left alone.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "host/distance/frechet_distance.h"
#include "host/gan/gan_evaluation.h"
#include "host/gan/gan_trainer.h"
#include "tests/host/temporary_folder.h"
#include "tests/kernels/backends.h"

namespace patchforge::testing {
namespace {

constexpr unsigned evaluation_seed = 17;
constexpr int channels = 1, height = 5, width = 6;

struct EvaluationPatches {
    std::vector<std::uint8_t> bytes;
    std::vector<std::int32_t> labels;
    PatchRows rows;

    explicit EvaluationPatches(std::int64_t count) {
        std::mt19937 engine(evaluation_seed);
        for (std::int64_t i = 0; i < count; ++i) {
            labels.push_back(i % 3 == 0 ? 1 : 0);
            for (int p = 0; p < channels * height * width; ++p) {
                bytes.push_back(static_cast<std::uint8_t>(engine() % 120 + 60 * (i % 3)));
            }
        }
        rows = {bytes.data(), count, channels, height, width, labels, {}};
    }
};

GanOptions evaluation_options(bool conditional = false) {
    GanOptions options;
    options.batch_size = 4;
    options.latent_dim = 5;
    options.hidden_dims = {12};
    options.conditional = conditional;
    options.ema = 0.9;
    options.seed = evaluation_seed;
    options.steps = 20;
    return options;
}

GeneratorFormat format(bool conditional = false) {
    return {channels, height, width, "normal",
            conditional ? std::vector<std::string>{"a", "b"} : std::vector<std::string>{}};
}

class GanEvaluationTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(GanEvaluationTest);

TEST_P(GanEvaluationTest, LeavesTheTrainingAlone) {
    const EvaluationPatches patches(31);
    GanTrainer measured(backend(), evaluation_options(), patches.rows);
    GanTrainer alone(backend(), evaluation_options(), patches.rows);
    ImageGenerator sampler(measured.sampling_generator(), format());
    GanEvaluation evaluation(backend(), sampler, patches.rows, {.interval = 2, .count = 40}, 1);
    const TemporaryFolder folder;
    for (int i = 1; i <= 4; ++i) {
        measured.run(2);
        alone.run(2);
        evaluation.measure(folder.path(), 2 * i);
    }
    EXPECT_EQ(measured.checkpoint(), alone.checkpoint());
    EXPECT_EQ(read_metric_steps(folder.path(), "kernel_distance").size(), 4u);
}

TEST_P(GanEvaluationTest, GivesTheDistanceOfWhatGenerateWouldMake) {
    const EvaluationPatches patches(31);
    GanTrainer trainer(backend(), evaluation_options(), patches.rows);
    ImageGenerator sampler(trainer.sampling_generator(), format());
    GanEvaluation evaluation(backend(), sampler, patches.rows, {.interval = 1, .count = 50}, 1);
    const TemporaryFolder folder;
    trainer.run(3);
    const GanScore score = evaluation.measure(folder.path(), 3);

    const Extent shape{channels, height, width};
    const FeatureExtractor pixels = pixel_extractor({shape, patches.bytes, {}}, 2020, 1);
    const ImageSet fakes{shape, sampler.bytes(sampler.latents(50, 2020)), {}};
    const double expected =
        frechet_distance(pixels.features({shape, patches.bytes, {}}), pixels.features(fakes));
    EXPECT_TRUE(std::abs(score.frechet_distance - expected) <= 1e-5 * expected)
        << score.frechet_distance << " and " << expected << ", seed " << evaluation_seed;
    const auto lines = read_metric_steps(folder.path(), "frechet_distance");
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].step, 3);
    EXPECT_EQ(lines[0].n_generated, 50);
    EXPECT_EQ(lines[0].n_reference, 31);
    EXPECT_EQ(lines[0].seed, 2020u);
    EXPECT_EQ(lines[0].results[0].second, score.frechet_distance); // to the last bit
    EXPECT_EQ(lines[0].extractor.hash, evaluation.extractor().hash);
}

TEST_P(GanEvaluationTest, AConditionalGeneratorIsAskedForThePatchesClasses) {
    const EvaluationPatches patches(93);
    GanTrainer trainer(backend(), evaluation_options(true), patches.rows);
    ImageGenerator sampler(trainer.sampling_generator(), format(true));
    const std::vector<std::int32_t> wanted = {1, 0, 0, 1, 1};
    const std::vector<float> codes = sampler.latents_of(wanted, 4);
    EXPECT_EQ(sampler.classes_of(codes), wanted);
    EXPECT_THROW(sampler.latents_of(std::vector<std::int32_t>{2}, 4), std::invalid_argument);
    // The same draws whatever the class.
    const std::vector<float> in_turn = sampler.latents(5, 4);
    EXPECT_EQ(sampler.classes_of(in_turn), (std::vector<std::int32_t>{0, 1, 0, 1, 0}));
    for (std::size_t i = 0; i < 5; ++i) {
        for (std::size_t j = 0; j < 5; ++j) {
            EXPECT_EQ(codes[i * 7 + j], in_turn[i * 7 + j]);
        }
    }
    // Patches of class 1 alone: fakes of class 1.
    PatchRows ones = patches.rows;
    for (std::int32_t i = 0; i < 93; ++i) {
        if (patches.labels[static_cast<std::size_t>(i)] == 1) {
            ones.subset.push_back(i);
        }
    }
    GanEvaluation evaluation(backend(), sampler, ones, {.interval = 1, .count = 40}, 1);
    const TemporaryFolder folder;
    trainer.run(2);
    const double distance = evaluation.measure(folder.path(), 2).frechet_distance;
    const Extent shape{channels, height, width};
    const auto distance_of = [&](std::int64_t of_class) {
        std::vector<std::uint8_t> real;
        for (std::int64_t i = 0; i < ones.used(); ++i) {
            const std::uint8_t* patch = ones.pixels + ones.row(i) * ones.pixels_per_patch();
            real.insert(real.end(), patch, patch + ones.pixels_per_patch());
        }
        const FeatureExtractor pixels = pixel_extractor({shape, real, {}}, 2020, 1);
        const auto latents = sampler.latents(40, 2020, Purpose::generate, of_class);
        return frechet_distance(pixels.features({shape, real, {}}),
                                pixels.features({shape, sampler.bytes(latents), {}}));
    };
    EXPECT_TRUE(std::abs(distance - distance_of(1)) <= 1e-4 * distance) << distance;
    EXPECT_TRUE(std::abs(distance - distance_of(0)) > 1e-3 * distance) << distance;
}

TEST(GanEvaluation, RemembersTheBestMeasuredTheSameWay) {
    const auto backend = make_backend("cpu", {});
    const EvaluationPatches patches(31);
    GanTrainer trainer(*backend, evaluation_options(), patches.rows);
    ImageGenerator sampler(trainer.sampling_generator(), format());
    const auto is_best = [&](const std::filesystem::path& run) {
        GanEvaluation evaluation(*backend, sampler, patches.rows, {.interval = 1, .count = 40}, 1);
        evaluation.remember(run);
        const GanScore first = evaluation.measure(run, 50);
        EXPECT_FALSE(evaluation.measure(run, 51).best); // not better than itself
        return first.best;
    };
    const Extractor extractor =
        GanEvaluation(*backend, sampler, patches.rows, {.interval = 1, .count = 40}, 1).extractor();
    const auto line = [&](double distance, std::int64_t step) {
        MetricResult result{.metric = "frechet_distance",
                            .results = {{"frechet_distance", distance}},
                            .extractor = extractor,
                            .n_generated = 40,
                            .n_reference = 31};
        result.step = step;
        return result;
    };
    {
        const TemporaryFolder nothing;
        EXPECT_TRUE(is_best(nothing.path()));
    }
    {
        const TemporaryFolder worse;
        append_metric_line(worse.path(), line(1e12, 10));
        append_metric_line(worse.path(), line(std::nan(""), 20));
        EXPECT_TRUE(is_best(worse.path()));
    }
    {
        const TemporaryFolder better;
        append_metric_line(better.path(), line(1e-9, 10));
        append_metric_line(better.path(), line(1e12, 20));
        EXPECT_FALSE(is_best(better.path()));
    }
    {
        const TemporaryFolder others;
        MetricResult other = line(1e-9, 10);
        other.extractor.hash = "another";
        append_metric_line(others.path(), other);
        other = line(1e-9, 10);
        other.n_generated = 41;
        append_metric_line(others.path(), other);
        other = line(1e-9, 10);
        other.n_reference = 30;
        append_metric_line(others.path(), other);
        other = line(1e-9, 10);
        other.step.reset(); // `evaluate` of the run
        append_metric_line(others.path(), other);
        EXPECT_TRUE(is_best(others.path()));
    }
    {
        const TemporaryFolder later;
        append_metric_line(later.path(), line(1e-9, 40));
        forget_evaluations(later.path(), 39);
        EXPECT_TRUE(is_best(later.path()));
    }
}

TEST(GanEvaluation, RefusesWhatItCannotMeasure) {
    const auto backend = make_backend("cpu", {});
    const EvaluationPatches few(19);
    GanTrainer trainer(*backend, evaluation_options(), few.rows);
    ImageGenerator sampler(trainer.sampling_generator(), format());
    EXPECT_THROW(GanEvaluation(*backend, sampler, few.rows, {.interval = 1, .count = 40}, 1),
                 std::invalid_argument);
    EXPECT_THROW(GanEvaluation(*backend, sampler, few.rows,
                               {.interval = 1, .count = 40, .features = "/nowhere"}, 1),
                 std::exception);
    EXPECT_THROW(check_ranges(GanEvaluationOptions{.interval = 1, .count = 19, .features = ""}),
                 std::invalid_argument);
    EXPECT_THROW(check_ranges(GanEvaluationOptions{.interval = -1, .count = 20, .features = ""}),
                 std::invalid_argument);
}

} // namespace
} // namespace patchforge::testing
