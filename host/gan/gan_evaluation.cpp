#include "host/gan/gan_evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "host/distance/kernel_distance.h"
#include "host/run/interrupt.h"
#include "host/session/loaded_models.h"
#include "kernels/shuffle.h"

namespace patchforge {

namespace {

constexpr std::int64_t least_patches = 20;
constexpr std::int64_t fakes_at_a_time = 1024;
constexpr int kernel_subsets = 10;
constexpr std::int64_t largest_kernel_subset = 1000;

ImageSet chosen(const PatchRows& real, std::int64_t count) {
    ImageSet images{real.extent(), {}, {}};
    const auto available = static_cast<std::uint32_t>(real.used());
    for (std::uint32_t i = 0; i < std::min<std::int64_t>(available, count); ++i) {
        const std::int64_t row =
            real.row(shuffled_row(GanEvaluation::evaluation_seed, 0, i, available));
        const std::uint8_t* patch = real.pixels + row * real.pixels_per_patch();
        images.bytes.insert(images.bytes.end(), patch, patch + real.pixels_per_patch());
        images.labels.push_back(real.labels.empty() ? -1 : real.labels[row]);
    }
    return images;
}

// The classes of the patches, round and round; every class in turn where one is not known.
std::vector<std::int32_t> classes_like(const ImageSet& patches, std::int64_t count,
                                       std::int64_t classes) {
    const bool known = std::ranges::all_of(
        patches.labels, [&](std::int32_t label) { return label >= 0 && label < classes; });
    std::vector<std::int32_t> result;
    for (std::int64_t i = 0; i < count; ++i) {
        result.push_back(known ? patches.labels[i % std::ssize(patches.labels)]
                               : static_cast<std::int32_t>(i % std::max<std::int64_t>(classes, 1)));
    }
    return result;
}

} // namespace

void describe(Options& options, GanEvaluationOptions& evaluation) {
    options.group("Run");
    options
        .number("eval_interval", evaluation.interval, {0, 1000000000},
                "iterations a measurement of fakes; the best one's generator is kept (0: never)")
        .changeable();
    options
        .number("eval_count", evaluation.count, {least_patches, 1000000},
                "fakes for it, and patches at most")
        .beside("eval_interval")
        .changeable();
    options
        .text("features", evaluation.features, "FOLDER|FILE",
              "a classifier to measure in the features of, trained on other patients (without: "
              "principal components of the pixels)")
        .beside("eval_interval")
        .changeable();
}

GanEvaluation::GanEvaluation(Backend& backend, ImageGenerator& generator, const PatchRows& real,
                             const GanEvaluationOptions& options, int threads)
    : generator_(generator), count_(options.count), threads_(threads), shape_(real.extent()),
      best_(std::numeric_limits<double>::max()) {
    const ImageSet patches = chosen(real, options.count);
    if (patches.count() < least_patches) {
        throw std::invalid_argument(
            fmt::format("--eval-interval: {} patches to compare with say nothing; hold out more "
                        "patients, or none",
                        patches.count()));
    }
    if (options.features.empty()) {
        extractor_ = pixel_extractor(patches, evaluation_seed, threads);
    } else {
        classifier_ = load_classifier(backend, "--features", options.features,
                                      real.pixels_per_patch(), "the patches have");
        extractor_ = classifier_extractor(*classifier_);
    }
    real_ = extractor_.features(patches);
    real_fit_ = fit_gaussian(real_, threads);
    latents_ = generator.latents_of(
        classes_like(patches, count_, std::ssize(generator.format().classes)), evaluation_seed);
}

Features GanEvaluation::fakes() {
    Features all{count_, 0, {}};
    const std::int64_t width = generator_.latent_dim();
    for (std::int64_t first = 0; first < count_; first += fakes_at_a_time) {
        stop_if_interrupted();
        const std::int64_t last = std::min(count_, first + fakes_at_a_time);
        const Features some = extractor_.features(
            {shape_,
             generator_.bytes({latents_.begin() + first * width, latents_.begin() + last * width},
                              first),
             {}});
        all.dimension = some.dimension;
        all.values.insert(all.values.end(), some.values.begin(), some.values.end());
    }
    return all;
}

void GanEvaluation::remember(const std::filesystem::path& run) {
    for (const MetricResult& line : read_metric_steps(run, "frechet_distance")) {
        if (line.extractor.hash == extractor().hash && line.n_generated == count_ &&
            line.n_reference == real_.count && !line.results.empty()) {
            best_ = std::fmin(best_, line.results.front().second);
        }
    }
}

GanScore GanEvaluation::measure(const std::filesystem::path& run, std::int64_t step) {
    using Clock = std::chrono::steady_clock;
    const auto seconds_since = [](Clock::time_point start) {
        return std::chrono::duration<double>(Clock::now() - start).count();
    };
    const auto line = [&](const char* metric, std::vector<std::pair<std::string, double>> results,
                          double seconds) {
        MetricResult result{metric, std::move(results), seconds,         extractor(),
                            count_, real_.count,        evaluation_seed, utc_now()};
        result.step = step;
        append_metric_line(run, result);
    };
    // Both are measured before one is written: a signal in between leaves nothing half told.
    auto start = Clock::now();
    const Features fake = fakes();
    GanScore score;
    score.frechet_distance = frechet_distance(real_fit_, fit_gaussian(fake, threads_));
    const double frechet_seconds = seconds_since(start);

    start = Clock::now();
    const std::int64_t half = std::min(real_.count, fake.count) / 2;
    const KernelDistance kernel = kernel_distance(
        real_, fake,
        {kernel_subsets, std::min(largest_kernel_subset, half), evaluation_seed, threads_});
    score.kernel_distance = kernel.mean;
    score.kernel_deviation = kernel.deviation;
    const double kernel_seconds = seconds_since(start);

    line("frechet_distance", {{"frechet_distance", score.frechet_distance}}, frechet_seconds);
    line("kernel_distance",
         {{"kernel_distance_mean", kernel.mean}, {"kernel_distance_deviation", kernel.deviation}},
         kernel_seconds);
    score.best = score.frechet_distance < best_;
    best_ = std::min(best_, score.frechet_distance);
    return score;
}

void forget_evaluations(const std::filesystem::path& run, std::int64_t last) {
    for (const char* metric : {"frechet_distance", "kernel_distance"}) {
        drop_metric_steps(run, metric, last);
    }
}

} // namespace patchforge
