// What the numbers of an evaluation are called and what they say, for the console and for the page.
#pragma once

#include <string>
#include <vector>

#include "host/evaluate/image_evaluation.h"

namespace patchforge {

// Least R² of the line through the Fréchet distances of 15 subsets for its intercept to be shown:
// the slope's standard error is then below sqrt((1 - R²) / (13 R²)) = 14 % of the slope, and so is
// that of the correction it makes. JSON lines hold every intercept with its R².
constexpr double least_r_squared = 0.8;

// The values people compare; the others are in the JSON lines.
struct Measure {
    std::string metric;
    std::string key;
    std::string words;
    bool smaller_is_better;
};
const std::vector<Measure>& shown_measures();
// Of grey pictures, without features.
const std::vector<Measure>& texture_measures();

// "own64" -> "the classifier's features (own64)".
std::string extractor_words(const std::string& extractor);

const MetricResult* find_result(const std::vector<MetricResult>& results,
                                const std::string& extractor, const std::string& metric,
                                const std::string& of_class = "");
// NaN where there is none.
double value_of(const MetricResult* result, const std::string& key);
// Those whose distances were measured, in their order.
std::vector<std::string> extractors_of(const std::vector<MetricResult>& results);
// Of generated images; an intercept without a line that fits is none: NaN.
double shown_value(const ImageEvaluation& evaluation, const std::string& extractor,
                   const Measure& measure);

// A sentence or two each; empty where there is nothing to say.
std::string
extrapolation_line(const ImageEvaluation& evaluation); // why some intercepts are not shown
std::string class_line(const ImageEvaluation& evaluation);
std::string inception_line(const ImageEvaluation& evaluation);
std::string memorisation_line(const ImageEvaluation& evaluation);
std::string membership_line(const ImageEvaluation& evaluation);

// What came out, the most important first. No sentence claims that fakes are as good as real
// patches, which no measure can show.
struct EvaluationVerdict {
    std::string text;
    bool bad = false;
};
std::vector<EvaluationVerdict> evaluation_verdicts(const ImageEvaluation& evaluation);

} // namespace patchforge
