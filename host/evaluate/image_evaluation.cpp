#include "host/evaluate/image_evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "host/evaluate/evaluate.h"
#include "host/evaluate/inception_score.h"
#include "host/evaluate/pca.h"

namespace patchforge {

namespace {

constexpr std::int64_t pca_components = 64;

struct FeatureExtractor {
    Extractor name;
    std::function<Features(const ImageSet&)> features;
};

std::vector<FeatureExtractor> extractors(const ImageSet& reference,
                                         const ClassifierModel* classifier,
                                         const ImageEvaluationOptions& options) {
    std::vector<FeatureExtractor> all;
    if (classifier) {
        const std::int64_t width = classifier->feature_count();
        all.push_back({{fmt::format("own{}", width), classifier->hash()},
                       [classifier, width](const ImageSet& images) {
                           return Features{images.count(), width,
                                           classifier->features(std::span(images.bytes))};
                       }});
    }
    const Features pixels = pixels_of(reference);
    const std::int64_t components = std::min({pca_components, pixels.count - 1, pixels.dimension});
    auto pca = std::make_shared<PrincipalComponents>(
        fit_principal_components(pixels, components, options.seed, options.threads));
    all.push_back({{fmt::format("pixels-pca{}", components),
                    content_hash(std::as_bytes(std::span(pca->basis)))},
                   [pca, threads = options.threads](const ImageSet& images) {
                       return project(*pca, pixels_of(images), threads);
                   }});
    const ImageShape shape = reference.shape;
    all.push_back({{fmt::format("random{}", random_network_dimension),
                    random_network_hash(shape, options.seed)},
                   [shape, options](const ImageSet& images) {
                       return random_network_features(pixels_of(images), shape, options.seed,
                                                      options.threads);
                   }});
    return all;
}

// Rows of the reference with label `label`, or with any other.
Features rows_with_label(const Features& features, const std::vector<std::int32_t>& labels,
                         std::int32_t label, bool equal) {
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if ((labels[i] == label) == equal) {
            rows.push_back(static_cast<std::int64_t>(i));
        }
    }
    return take_rows(features, rows);
}

void append(std::vector<MetricResult>& to, std::vector<MetricResult> from) {
    std::move(from.begin(), from.end(), std::back_inserter(to));
}

double class_entropy_exponential(const std::vector<std::int32_t>& labels) {
    std::vector<double> counts;
    for (const std::int32_t label : labels) {
        if (label >= 0) {
            counts.resize(std::max(counts.size(), static_cast<std::size_t>(label) + 1), 0.0);
            ++counts[static_cast<std::size_t>(label)];
        }
    }
    double total = 0;
    for (const double count : counts) {
        total += count;
    }
    double entropy = 0;
    for (const double count : counts) {
        if (count > 0) {
            entropy -= count / total * std::log(count / total);
        }
    }
    return std::exp(entropy);
}

} // namespace

Features pixels_of(const ImageSet& images) {
    const std::int64_t count = images.count();
    const std::int64_t width = images.shape.channels * images.shape.height * images.shape.width;
    Features features{count, width, std::vector<float>(images.bytes.size())};
    std::transform(images.bytes.begin(), images.bytes.end(), features.values.begin(),
                   [](std::uint8_t v) { return static_cast<float>(v) * (2.0f / 255.0f) - 1.0f; });
    return features;
}

ImageEvaluation evaluate_images(const ImageSet& reference, const ImageSet& generated,
                                const ImageSet& training, const ImageSet& held_out,
                                const ClassifierModel* classifier,
                                const ImageEvaluationOptions& options,
                                const std::function<void(const std::string&)>& progress) {
    if (reference.count() < 20 || generated.count() < 20) {
        throw std::invalid_argument(fmt::format(
            "--count: {} real and {} generated images say nothing; give at least 20 of each",
            reference.count(), generated.count()));
    }
    const auto say = [&](const std::string& what) {
        if (progress) {
            progress(what);
        }
    };
    ImageEvaluation result;
    for (const FeatureExtractor& extractor : extractors(reference, classifier, options)) {
        say("features " + extractor.name.name);
        EvaluateOptions evaluate{
            .extractor = extractor.name, .seed = options.seed, .threads = options.threads};
        const Features real = extractor.features(reference);
        const Features fake = extractor.features(generated);
        append(result.generated, evaluate_features(real, fake, evaluate));
        if (options.floors) {
            evaluate.extrapolate = false;
            const Halves halves = split_in_halves(real, options.seed);
            append(result.floor, evaluate_features(halves.first, halves.second, evaluate));
            const std::int64_t width =
                reference.shape.channels * reference.shape.height * reference.shape.width;
            const Features noise = noise_images(generated.count(), width, options.seed);
            ImageSet noise_bytes{
                reference.shape, std::vector<std::uint8_t>(noise.values.size()), {}};
            std::transform(noise.values.begin(), noise.values.end(), noise_bytes.bytes.begin(),
                           [](float v) { return static_cast<std::uint8_t>((v + 1) * 127.5f); });
            append(result.noise,
                   evaluate_features(real, extractor.features(noise_bytes), evaluate));
            const std::int32_t last =
                reference.labels.empty() ? -1 : std::ranges::max(reference.labels);
            if (last > 0) {
                const Features one = rows_with_label(real, reference.labels, last, true);
                const Features rest = rows_with_label(real, reference.labels, last, false);
                if (one.count > 10 && rest.count > 10) {
                    append(result.other_class, evaluate_features(rest, one, evaluate));
                }
            }
        }
        if (result.memorisation_features.empty() && training.count() > 0 && held_out.count() > 0) {
            say("memorisation in " + extractor.name.name);
            result.memorisation =
                memorisation(extractor.features(training), fake, extractor.features(held_out),
                             {.seed = options.seed, .threads = options.threads});
            result.memorisation_features = extractor.name.name;
        }
    }
    result.inception_score = std::numeric_limits<double>::quiet_NaN();
    if (classifier) {
        const InceptionScore score = inception_score(
            {generated.count(), classifier->class_count(),
             classifier->logits(std::span(generated.bytes))},
            static_cast<int>(std::min<std::int64_t>(10, generated.count())), options.seed);
        result.inception_score = score.mean;
        result.inception_score_deviation = score.deviation;
        result.inception_score_ceiling = reference.labels.empty()
                                             ? static_cast<double>(classifier->class_count())
                                             : class_entropy_exponential(reference.labels);
    }
    return result;
}

} // namespace patchforge
