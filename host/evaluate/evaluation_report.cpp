#include "host/evaluate/evaluation_report.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "host/run/image_grid.h"
#include "host/run/report.h"

namespace patchforge {

namespace {

// The values people compare; the others are in the JSON lines.
const std::vector<std::pair<std::string, std::string>> shown = {
    {"frechet_distance", "frechet_distance"}, {"kernel_distance", "kernel_distance_mean"},
    {"precision_recall", "precision"},        {"precision_recall", "recall"},
    {"density_coverage", "density"},          {"density_coverage", "coverage"},
    {"sliced_distance", "sliced_distance"},
};

// The value of a measure for one extractor; "-" where it was not computed.
std::string value_of(const std::vector<MetricResult>& results, const std::string& extractor,
                     const std::string& metric, const std::string& key) {
    for (const MetricResult& result : results) {
        if (result.extractor.name == extractor && result.metric == metric) {
            for (const auto& [name, value] : result.results) {
                if (name == key) {
                    return std::isfinite(value) ? fmt::format("{:.5g}", value) : "-";
                }
            }
        }
    }
    return "-";
}

const std::vector<std::string> columns = {"features",  "measure", "generated",
                                          "real half", "noise",   "other class"};

std::vector<std::vector<std::string>> rows_of(const ImageEvaluation& evaluation) {
    std::vector<std::string> extractors;
    for (const MetricResult& result : evaluation.generated) {
        if (extractors.empty() || extractors.back() != result.extractor.name) {
            extractors.push_back(result.extractor.name);
        }
    }
    std::vector<std::vector<std::string>> rows;
    for (const std::string& extractor : extractors) {
        for (const auto& measure : shown) {
            const std::string& metric = measure.first;
            const std::string& key = measure.second;
            const auto value = [&](const std::vector<MetricResult>& results) {
                return value_of(results, extractor, metric, key);
            };
            std::vector<std::string> row = {extractor,
                                            key,
                                            value(evaluation.generated),
                                            value(evaluation.floor),
                                            value(evaluation.noise),
                                            value(evaluation.other_class)};
            if (row[2] != "-") {
                rows.push_back(std::move(row));
            }
        }
    }
    return rows;
}

std::string inception_line(const ImageEvaluation& evaluation) {
    return std::isnan(evaluation.inception_score)
               ? std::string()
               : fmt::format(
                     "Classifier score (inception score with the classifier's classes): {:.4f} "
                     "± {:.4f}, at most {:.4f} for the reference's shares of classes.",
                     evaluation.inception_score, evaluation.inception_score_deviation,
                     evaluation.inception_score_ceiling);
}

std::string memorisation_line(const ImageEvaluation& evaluation) {
    const Memorisation& m = evaluation.memorisation;
    if (evaluation.memorisation_features.empty()) {
        return "";
    }
    return fmt::format(
        "Memorisation in {}: C_T = {:.2f} (well below 0: copies of training patches; "
        "well above: unlike them), share nearer to training than 95 % of the held-out "
        "patches {:.3f} (0.05 expected).",
        evaluation.memorisation_features, m.c_t, m.ratio);
}

Image image_at(const ImageSet& set, std::int64_t i) {
    const std::int64_t size = set.shape.channels * set.shape.height * set.shape.width;
    const auto begin = set.bytes.begin() + i * size;
    return {static_cast<int>(set.shape.width),
            static_cast<int>(set.shape.height),
            static_cast<int>(set.shape.channels),
            {begin, begin + size}};
}

} // namespace

std::string evaluation_table(const ImageEvaluation& evaluation) {
    std::string text = fmt::format("{:14} {:22} {:>11} {:>11} {:>11} {:>11}\n", columns[0],
                                   columns[1], columns[2], columns[3], columns[4], columns[5]);
    for (const auto& row : rows_of(evaluation)) {
        text += fmt::format("{:14} {:22} {:>11} {:>11} {:>11} {:>11}\n", row[0], row[1], row[2],
                            row[3], row[4], row[5]);
    }
    for (const std::string& line : {inception_line(evaluation), memorisation_line(evaluation)}) {
        text += line.empty() ? "" : line + "\n";
    }
    return text;
}

Image memorisation_sheet(const ImageEvaluation& evaluation, const ImageSet& generated,
                         const ImageSet& training, const ImageSet& held_out, std::int64_t rows) {
    std::vector<std::vector<Image>> pictures;
    SheetOptions options;
    options.column_names = {"generated", "training", "held out"};
    options.scale = 2;
    for (const CopyCandidate& candidate : copy_candidates(evaluation.memorisation, rows)) {
        pictures.push_back({image_at(generated, candidate.generated),
                            image_at(training, candidate.training.index),
                            image_at(held_out, candidate.held_out.index)});
        options.row_names.push_back(
            fmt::format("{:.2f} {:.2f}", candidate.training.distance, candidate.held_out.distance));
    }
    return labelled_sheet(pictures, options);
}

void add_evaluation_sections(Report& report, const ImageEvaluation& evaluation,
                             const ImageSet& generated, const ImageSet& training,
                             const ImageSet& held_out) {
    report.section("How good are the fakes?");
    report.table(
        "Generated against real patches. 'real half' compares two halves of the real patches: "
        "nothing can be expected to do better at that number; 'noise' and 'other class' say "
        "what bad looks like.",
        columns, rows_of(evaluation));
    report.note(
        "Distances are smaller the better, and compare only with the same features and the "
        "same number of images. They are not the published FID or KID: no Inception network "
        "takes part.");
    for (const std::string& line : {inception_line(evaluation), memorisation_line(evaluation)}) {
        if (!line.empty()) {
            report.paragraph(line);
        }
    }
    if (!evaluation.memorisation_features.empty()) {
        report.image(
            memorisation_sheet(evaluation, generated, training, held_out, 8),
            "The generated patches nearest to a training patch, with the nearest training and "
            "held-out patch and the distances to them.");
    }
}

} // namespace patchforge
