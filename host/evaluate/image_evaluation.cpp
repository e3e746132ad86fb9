#include "host/evaluate/image_evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "data/class_match.h"
#include "host/distance/inception_score.h"
#include "host/evaluate/evaluate.h"
#include "host/evaluate/membership.h"
#include "host/evaluate/texture.h"

namespace patchforge {

namespace {

constexpr std::int64_t least_images = 20; // of a set, or of a class, to say anything

// Rows with label `label`, or with any other.
Features rows_with_label(const Features& features, const std::vector<std::int32_t>& labels,
                         std::int32_t label, bool equal = true) {
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if ((labels[i] == label) == equal) {
            rows.push_back(static_cast<std::int64_t>(i));
        }
    }
    return take_rows(features, rows);
}

// NaN without labels.
double class_entropy_exponential(const std::vector<std::int32_t>& labels) {
    std::vector<double> counts;
    for (const std::int32_t label : labels) {
        if (label >= 0) {
            counts.resize(std::max(counts.size(), static_cast<std::size_t>(label) + 1), 0.0);
            ++counts[label];
        }
    }
    double total = 0;
    for (const double count : counts) {
        total += count;
    }
    double entropy = counts.empty() ? std::numeric_limits<double>::quiet_NaN() : 0;
    for (const double count : counts) {
        if (count > 0) {
            entropy -= count / total * std::log(count / total);
        }
    }
    return std::exp(entropy);
}

// As many images of uniform noise as `like` has.
ImageSet noise_like(const ImageSet& like, std::uint64_t seed) {
    const Features noise = noise_images(like.count(), like.shape.size(), seed);
    ImageSet images{like.shape, std::vector<std::uint8_t>(noise.values.size()), {}};
    std::transform(noise.values.begin(), noise.values.end(), images.bytes.begin(),
                   [](float v) { return static_cast<std::uint8_t>((v + 1) * 127.5f); });
    return images;
}

class Evaluation {
  public:
    Evaluation(const ImageSet& reference, const ImageSet& generated, const ImageSet& training,
               const ImageSet& held_out, const ImageEvaluationOptions& options)
        : reference_(reference), generated_(generated), training_(training), held_out_(held_out),
          options_(options) {}

    void measure(const FeatureExtractor& extractor);
    void measure_memorisation(const FeatureExtractor& extractor);
    void score(const ClassifierModel& classifier);
    void measure_texture();
    ImageEvaluation result;

  private:
    using Clock = std::chrono::steady_clock;
    using Results = std::vector<std::pair<std::string, double>>;

    MetricResult line(const std::string& metric, Results results, Clock::time_point start,
                      const Extractor& extractor, std::int64_t generated,
                      std::int64_t reference) const;
    void compare(std::vector<MetricResult>& to, const Features& reference, const Features& other,
                 const FeatureExtractor& extractor, const std::string& compared,
                 const std::string& of_class = "") const;
    void measure_floors(const FeatureExtractor& extractor, const Features& real);
    void compare_grey(std::vector<MetricResult>& to, const PictureBytes& reference,
                      const PictureBytes& other, const std::string& compared) const;
    void measure_classes(const FeatureExtractor& extractor, const Features& real,
                         const Features& fake);

    const ImageSet& reference_;
    const ImageSet& generated_;
    const ImageSet& training_;
    const ImageSet& held_out_;
    const ImageEvaluationOptions& options_;
};

void Evaluation::compare(std::vector<MetricResult>& to, const Features& reference,
                         const Features& other, const FeatureExtractor& extractor,
                         const std::string& compared, const std::string& of_class) const {
    const bool whole = compared.empty() && of_class.empty();
    for (MetricResult& line : evaluate_features(reference, other,
                                                {.extractor = extractor.name,
                                                .seed = options_.seed,
                                                .threads = options_.threads,
                                                .extrapolate = whole})) {
        line.compared = compared;
        line.of_class = of_class;
        to.push_back(std::move(line));
    }
}

void Evaluation::measure(const FeatureExtractor& extractor) {
    const Features real = extractor.features(reference_);
    const Features fake = extractor.features(generated_);
    compare(result.generated, real, fake, extractor, "");
    if (options_.floors) {
        measure_floors(extractor, real);
    }
    if (!reference_.labels.empty() && !generated_.labels.empty()) {
        measure_classes(extractor, real, fake);
    }
}

void Evaluation::measure_floors(const FeatureExtractor& extractor, const Features& real) {
    if (held_out_.count() >= least_images) {
        compare(result.floor, real, extractor.features(held_out_), extractor, "other patients");
    } else {
        const Halves halves = split_in_halves(real, options_.seed);
        compare(result.floor, halves.first, halves.second, extractor, "real half");
    }

    compare(result.noise, real, extractor.features(noise_like(generated_, options_.seed)),
            extractor, "noise");

    const std::int32_t last = reference_.labels.empty() ? -1 : std::ranges::max(reference_.labels);
    if (last > 0) {
        const Features one = rows_with_label(real, reference_.labels, last);
        const Features rest = rows_with_label(real, reference_.labels, last, false);
        if (one.count > 10 && rest.count > 10) {
            compare(result.other_class, rest, one, extractor, "other class");
        }
    }
}

void Evaluation::measure_classes(const FeatureExtractor& extractor, const Features& real,
                                 const Features& fake) {
    for (std::size_t c = 0; c < options_.class_names.size(); ++c) {
        const auto label = static_cast<std::int32_t>(c);
        const Features real_of_class = rows_with_label(real, reference_.labels, label);
        const Features fake_of_class = rows_with_label(fake, generated_.labels, label);
        if (std::min(real_of_class.count, fake_of_class.count) >= least_images) {
            compare(result.by_class, real_of_class, fake_of_class, extractor, "",
                    options_.class_names[c]);
        }
    }
}

MetricResult Evaluation::line(const std::string& metric, Results results, Clock::time_point start,
                              const Extractor& extractor, std::int64_t generated,
                              std::int64_t reference) const {
    const std::chrono::duration<double> time = Clock::now() - start;
    return {metric,    std::move(results), time.count(),  extractor,
            generated, reference,          options_.seed, utc_now()};
}

// Copies of training patches, and what the fakes alone give away of who was trained on.
void Evaluation::measure_memorisation(const FeatureExtractor& extractor) {
    auto start = Clock::now();
    const Features trained = extractor.features(training_);
    const Features fakes = extractor.features(generated_);
    const Features strangers = extractor.features(held_out_);
    result.memorisation = memorisation(trained, fakes, strangers,
                                       {.seed = options_.seed, .threads = options_.threads});
    const Memorisation& m = result.memorisation;
    result.generated.push_back(line("memorisation",
                                    {{"c_t", m.c_t},
                                     {"ratio", m.ratio},
                                     {"ratio_distance", m.ratio_distance},
                                     {"n_held_out", static_cast<double>(held_out_.count())}},
                                    start, extractor.name, generated_.count(), training_.count()));
    if (training_.patients.empty() || held_out_.patients.empty()) {
        return;
    }
    start = Clock::now();
    const MembershipResult found = membership_result(
        "nearest fake", {nearest_fake_scores(trained, fakes, options_.threads), training_.patients},
        {nearest_fake_scores(strangers, fakes, options_.threads), held_out_.patients},
        options_.seed);
    Results results;
    append_score(results, "auc", found.auc, found.auc_interval);
    append_score(results, "found_at_1_percent", found.found, found.found_interval);
    results.emplace_back("n_strangers", static_cast<double>(found.strangers));
    result.generated.push_back(
        line("membership", results, start, extractor.name, generated_.count(), found.members));
}

void Evaluation::score(const ClassifierModel& classifier) {
    const auto start = Clock::now();
    const int splits = static_cast<int>(std::min<std::int64_t>(10, generated_.count()));
    const InceptionScore score = inception_score({generated_.count(), classifier.class_count(),
                                                  classifier.logits(std::span(generated_.bytes))},
                                                 splits, options_.seed);
    const double ceiling = same_classes(classifier.format().class_names, options_.class_names)
                               ? class_entropy_exponential(reference_.labels)
                               : std::numeric_limits<double>::quiet_NaN();
    result.generated.push_back(line("inception_score",
                                    {{"inception_score_mean", score.mean},
                                     {"inception_score_deviation", score.deviation},
                                     {"inception_score_ceiling", ceiling},
                                     {"splits", static_cast<double>(score.splits)}},
                                    start, classifier_extractor(classifier).name,
                                    generated_.count(), reference_.count()));
}

void Evaluation::compare_grey(std::vector<MetricResult>& to, const PictureBytes& reference,
                              const PictureBytes& other, const std::string& compared) const {
    const auto start = Clock::now();
    const TextureComparison texture = compare_texture(reference, other);
    to.push_back(line("texture",
                      {{"laplacian_auc", texture.laplacian_auc},
                       {"spectrum_distance", texture.spectrum_distance},
                       {"fixed_picture_share", texture.fixed_share_second},
                       {"laplacian_deviation", texture.laplacian_deviation_second},
                       {"fixed_picture_share_of_reference", texture.fixed_share_first},
                       {"laplacian_deviation_of_reference", texture.laplacian_deviation_first}},
                      start, {"grey", ""}, other.count(), reference.count()));
    to.back().compared = compared;
}

void Evaluation::measure_texture() {
    if (std::min(reference_.shape.height, reference_.shape.width) < 3) {
        return;
    }
    const PictureBytes reference = bytes_of(reference_);
    compare_grey(result.generated, reference, bytes_of(generated_), "");
    if (!options_.floors) {
        return;
    }
    if (held_out_.count() >= least_images) {
        compare_grey(result.floor, reference, bytes_of(held_out_), "other patients");
    } else { // the images are in random order
        const auto half = static_cast<std::size_t>(reference.count() / 2 * reference.extent.size());
        compare_grey(result.floor, {reference.bytes.first(half), reference.extent},
                     {reference.bytes.subspan(half), reference.extent}, "real half");
    }
    const ImageSet noise = noise_like(generated_, options_.seed);
    compare_grey(result.noise, reference, bytes_of(noise), "noise");
}

} // namespace

std::vector<MetricResult> ImageEvaluation::lines() const {
    std::vector<MetricResult> all;
    for (const auto* some : {&generated, &floor, &noise, &other_class, &by_class}) {
        all.insert(all.end(), some->begin(), some->end());
    }
    return all;
}

ImageEvaluation evaluate_images(const ImageSet& reference, const ImageSet& generated,
                                const ImageSet& training, const ImageSet& held_out,
                                const ClassifierModel* classifier,
                                const ImageEvaluationOptions& options,
                                const std::function<void(const std::string&)>& progress) {
    if (reference.count() < least_images || generated.count() < least_images) {
        throw std::invalid_argument(fmt::format(
            "--count: {} real and {} generated images say nothing; give at least {} of each",
            reference.count(), generated.count(), least_images));
    }
    std::vector<FeatureExtractor> extractors;
    if (classifier) {
        extractors.push_back(classifier_extractor(*classifier));
        if (classifier->map_statistic_count() > 0) {
            extractors.push_back(maps_extractor(*classifier));
        }
    }
    const std::int64_t others = options.others ? options.others->count() : 0;
    std::string left_out;
    if (others >= images_for_components) {
        extractors.push_back(pixel_extractor(*options.others, options.seed, options.threads));
    } else {
        left_out =
            fmt::format("Principal components of the pixels are left out: they are found with {} "
                        "real patches that are not compared, and {} are left; lower --count, or "
                        "give more data",
                        images_for_components, others);
        progress(left_out);
    }
    extractors.push_back(random_extractor(reference.shape, options.seed, options.threads));

    Evaluation evaluation(reference, generated, training, held_out, options);
    for (const FeatureExtractor& extractor : extractors) {
        progress("features " + extractor.name.name);
        evaluation.measure(extractor);
    }
    progress("texture");
    evaluation.measure_texture();
    if (classifier) {
        evaluation.score(*classifier);
    }
    if (training.count() > 0 && held_out.count() > 0) {
        progress("memorisation in " + extractors.front().name.name);
        evaluation.measure_memorisation(extractors.front());
    }
    evaluation.result.left_out = std::move(left_out);
    return std::move(evaluation.result);
}

} // namespace patchforge
