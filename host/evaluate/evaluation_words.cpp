#include "host/evaluate/evaluation_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/page/figure_text.h"

namespace patchforge {

const std::vector<Measure>& shown_measures() {
    static const std::vector<Measure> measures = {
        {"frechet_distance", "frechet_distance", "Fréchet distance", true},
        {"frechet_distance", "frechet_distance_infinity", "the same of infinitely many", true},
        {"kernel_distance", "kernel_distance_mean", "kernel distance", true},
        {"precision_recall", "precision", "fakes among real patches (precision)", false},
        {"precision_recall", "recall", "real patches among fakes (recall)", false},
        {"density_coverage", "density", "real patches around a fake (density)", false},
        {"density_coverage", "coverage", "real patches with a fake near (coverage)", false},
        {"sliced_distance", "sliced_distance", "sliced distance", true},
    };
    return measures;
}

const std::vector<Measure>& texture_measures() {
    static const std::vector<Measure> measures = {
        {"texture", "laplacian_auc", "told apart by sharpness alone (AUC)", true},
        {"texture", "spectrum_distance", "distance of the power spectra", true},
        {"texture", "fixed_picture_share", "share of one picture that is in all", true},
    };
    return measures;
}

std::string extractor_words(const std::string& extractor) {
    return fmt::format("{} ({})",
                       extractor.starts_with("pixels")   ? "principal components of the pixels"
                       : extractor.starts_with("random") ? "an untrained network's features"
                       : extractor.starts_with("maps")   ? "texture in the classifier's maps"
                                                         : "the classifier's features",
                       extractor);
}

const MetricResult* find_result(const std::vector<MetricResult>& results,
                                const std::string& extractor, const std::string& metric,
                                const std::string& of_class) {
    const auto found = std::ranges::find_if(results, [&](const MetricResult& result) {
        return result.metric == metric && result.of_class == of_class &&
               (extractor.empty() || result.extractor.name == extractor);
    });
    return found == results.end() ? nullptr : &*found;
}

double value_of(const MetricResult* result, const std::string& key) {
    if (result) {
        for (const auto& [name, value] : result->results) {
            if (name == key) {
                return value;
            }
        }
    }
    return std::numeric_limits<double>::quiet_NaN();
}

std::vector<std::string> extractors_of(const std::vector<MetricResult>& results) {
    std::vector<std::string> extractors;
    for (const MetricResult& result : results) {
        if (result.metric == "frechet_distance" &&
            std::ranges::count(extractors, result.extractor.name) == 0) {
            extractors.push_back(result.extractor.name);
        }
    }
    return extractors;
}

namespace {

double r_squared_of(const MetricResult* result) {
    return value_of(result, "frechet_distance_infinity_r_squared");
}

} // namespace

double shown_value(const ImageEvaluation& evaluation, const std::string& extractor,
                   const Measure& measure) {
    const MetricResult* result = find_result(evaluation.generated, extractor, measure.metric);
    return measure.key == "frechet_distance_infinity" && !(r_squared_of(result) >= least_r_squared)
               ? std::numeric_limits<double>::quiet_NaN()
               : value_of(result, measure.key);
}

std::string extrapolation_line(const ImageEvaluation& evaluation) {
    std::vector<std::string> hidden;
    for (const std::string& extractor : extractors_of(evaluation.generated)) {
        const double r_squared =
            r_squared_of(find_result(evaluation.generated, extractor, "frechet_distance"));
        if (r_squared < least_r_squared) {
            hidden.push_back(fmt::format("{:.2f} in {}", r_squared, extractor));
        }
    }
    return hidden.empty()
               ? ""
               : fmt::format("No extrapolation to infinitely many images where the line through "
                             "the subsets' distances over 1 / n fits badly: R² is {}, {} is asked "
                             "for.",
                             fmt::join(hidden, ", "), least_r_squared);
}

std::string class_line(const ImageEvaluation& evaluation) {
    std::vector<std::string> counts;
    std::vector<std::string> told;
    for (const MetricResult& result : evaluation.by_class) {
        if (std::ranges::count(told, result.of_class) == 0) {
            told.push_back(result.of_class);
            counts.push_back(fmt::format("{}: {} generated, {} real", result.of_class,
                                         result.n_generated, result.n_reference));
        }
    }
    return fmt::format("Each class by itself ({}). Fewer images than above make the Fréchet "
                       "distance larger: compare classes of one size, or the kernel distance.",
                       fmt::join(counts, "; "));
}

std::string inception_line(const ImageEvaluation& evaluation) {
    const MetricResult* score = find_result(evaluation.generated, "", "inception_score");
    if (!score) {
        return "";
    }
    const double ceiling = value_of(score, "inception_score_ceiling");
    return fmt::format(
        "Classifier score (inception score with the classifier's classes): {:.4f} ± "
        "{:.4f} over {:.0f} splits of {} images, {}.",
        value_of(score, "inception_score_mean"), value_of(score, "inception_score_deviation"),
        value_of(score, "splits"), score->n_generated,
        std::isfinite(ceiling)
            ? fmt::format("at most {:.4f} for the reference's shares of classes", ceiling)
            : "without a ceiling, since the reference's shares of the classifier's "
              "classes are unknown");
}

std::string memorisation_line(const ImageEvaluation& evaluation) {
    const MetricResult* result = find_result(evaluation.generated, "", "memorisation");
    return result ? fmt::format("Memorisation in {}: C_T = {:.2f} (well below 0: copies of "
                                "training patches; well above: unlike them), share nearer to "
                                "training than 95 % of the held-out patches {:.3f} (0.05 "
                                "expected).",
                                result->extractor.name, value_of(result, "c_t"),
                                value_of(result, "ratio"))
                  : "";
}

std::string membership_line(const ImageEvaluation& evaluation) {
    const MetricResult* result = find_result(evaluation.generated, "", "membership");
    return result
               ? fmt::format(
                     "Membership in {}: by the distance to the nearest fake, patches trained "
                     "on are told from patches of other patients with AUC {:.3f} [{:.3f}, "
                     "{:.3f}] (0.5: nothing given away), and {:.1f} % of them are found where "
                     "1 % of the others are taken for them.",
                     result->extractor.name, value_of(result, "auc"), value_of(result, "auc_low"),
                     value_of(result, "auc_high"), 100 * value_of(result, "found_at_1_percent"))
               : "";
}

namespace {

// Below half of what real patches reach is a fault of the generator's, whatever the patients.
constexpr double much_less = 0.5;
// C_T below this is copying (Meehan, Chaudhuri and Dasgupta 2020).
constexpr double copying = -3;
// What one number a patch must not tell.
constexpr double told_by_sharpness = 0.75;

// " (other patients: 85 %)", or nothing without a floor.
std::string beside(const ImageEvaluation& evaluation, const std::string& text) {
    return evaluation.floor.empty() || text == undefined
               ? ""
               : fmt::format(" ({}: {})", evaluation.floor.front().compared, text);
}

EvaluationVerdict distance_verdict(const ImageEvaluation& evaluation, const std::string& features) {
    const auto in = [&](const std::vector<MetricResult>& results, const char* metric,
                        const char* key) {
        return value_of(find_result(results, features, metric), key);
    };
    const double precision = in(evaluation.generated, "precision_recall", "precision");
    const double recall = in(evaluation.generated, "precision_recall", "recall");
    if (!std::isfinite(precision)) {
        const double distance = in(evaluation.generated, "frechet_distance", "frechet_distance");
        const double floor = in(evaluation.floor, "frechet_distance", "frechet_distance");
        return {fmt::format(
            "The Fréchet distance between fakes and real patches is {:.4g}{}, in {}.", distance,
            beside(evaluation, std::isfinite(floor) ? fmt::format("{:.4g}", floor) : "–"),
            extractor_words(features))};
    }
    const double real_precision = in(evaluation.floor, "precision_recall", "precision");
    const double real_recall = in(evaluation.floor, "precision_recall", "recall");
    return {
        fmt::format("{} of the fakes lie among real patches{}, and {} of the real patches among "
                    "fakes{}, in {}.",
                    percent_text(precision), beside(evaluation, percent_text(real_precision)),
                    percent_text(recall), beside(evaluation, percent_text(real_recall)),
                    extractor_words(features)),
        precision < much_less * real_precision || recall < much_less * real_recall};
}

} // namespace

std::vector<EvaluationVerdict> evaluation_verdicts(const ImageEvaluation& evaluation) {
    std::vector<EvaluationVerdict> verdicts;
    const std::vector<std::string> extractors = extractors_of(evaluation.generated);
    if (!extractors.empty()) {
        verdicts.push_back(distance_verdict(evaluation, extractors.front()));
    }
    const auto grey = [](const std::vector<MetricResult>& results) {
        return value_of(find_result(results, "grey", "texture"), "laplacian_auc");
    };
    if (const double auc = grey(evaluation.generated); std::isfinite(auc)) {
        const double floor = grey(evaluation.floor);
        verdicts.push_back(
            {fmt::format("Sharpness alone tells fakes from real patches with AUC {:.3f}{}; 0.5 is "
                         "chance.",
                         auc, beside(evaluation, figure_text(floor, 3))),
             auc > std::max(told_by_sharpness, floor)});
    }
    if (const MetricResult* result = find_result(evaluation.generated, "", "memorisation")) {
        const double c_t = value_of(result, "c_t");
        if (c_t < copying) {
            verdicts.push_back({fmt::format("Training patches are copied: fakes lie nearer to them "
                                            "than patches of other patients do (C_T = {:.2f}).",
                                            c_t),
                                true});
        } else if (std::isfinite(c_t)) {
            verdicts.push_back({fmt::format("No sign that training patches were copied (C_T = "
                                            "{:.2f}; copies give less than {:.0f}).",
                                            c_t, copying)});
        }
    }
    if (const MetricResult* result = find_result(evaluation.generated, "", "membership");
        result && value_of(result, "auc_low") > 0.5) {
        verdicts.push_back(
            {fmt::format("The fakes give away who was trained on: AUC {:.3f} [{:.3f}, "
                         "{:.3f}]; 0.5 is chance.",
                         value_of(result, "auc"), value_of(result, "auc_low"),
                         value_of(result, "auc_high")),
             true});
    }
    return verdicts;
}

} // namespace patchforge
