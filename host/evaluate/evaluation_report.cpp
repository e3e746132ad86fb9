#include "host/evaluate/evaluation_report.h"
#include "host/page/figure_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "host/page/image_grid.h"
#include "host/page/report.h"

namespace patchforge {

namespace {

// The values people compare; the others are in the JSON lines.
struct Measure {
    std::string metric;
    std::string key;
};
const std::vector<Measure> shown = {
    {"frechet_distance", "frechet_distance"},
    {"frechet_distance", "frechet_distance_infinity"},
    {"kernel_distance", "kernel_distance_mean"},
    {"precision_recall", "precision"},
    {"precision_recall", "recall"},
    {"density_coverage", "density"},
    {"density_coverage", "coverage"},
    {"sliced_distance", "sliced_distance"},
};

// Of grey pictures, without features.
const std::vector<std::string> shown_of_texture = {"laplacian_auc", "spectrum_distance",
                                                   "fixed_picture_share"};

constexpr const char* none = undefined;

const MetricResult* find(const std::vector<MetricResult>& results, const std::string& extractor,
                         const std::string& metric, const std::string& of_class = "") {
    const auto found = std::ranges::find_if(results, [&](const MetricResult& result) {
        return result.metric == metric && result.of_class == of_class &&
               (extractor.empty() || result.extractor.name == extractor);
    });
    return found == results.end() ? nullptr : &*found;
}

// NaN where there is none.
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

std::string text_of(double value) {
    return std::isfinite(value) ? fmt::format("{:.5g}", value) : none;
}

double r_squared_of(const MetricResult* result) {
    return value_of(result, "frechet_distance_infinity_r_squared");
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

using Rows = std::vector<std::vector<std::string>>;

std::vector<std::string> columns_of(const ImageEvaluation& evaluation) {
    return {"features",  "measure",
            "generated", evaluation.floor.empty() ? "real" : evaluation.floor.front().compared,
            "noise",     "other class"};
}

Rows rows_of(const ImageEvaluation& evaluation) {
    Rows rows;
    for (const std::string& extractor : extractors_of(evaluation.generated)) {
        for (const Measure& measure : shown) {
            const auto in = [&](const std::vector<MetricResult>& results) {
                return value_of(find(results, extractor, measure.metric), measure.key);
            };
            const double generated = in(evaluation.generated);
            if (!std::isfinite(generated)) {
                continue;
            }
            const bool hidden = measure.key == "frechet_distance_infinity" &&
                                !(r_squared_of(find(evaluation.generated, extractor,
                                                    measure.metric)) >= least_r_squared);
            rows.push_back({extractor, measure.key, hidden ? none : text_of(generated),
                            text_of(in(evaluation.floor)), text_of(in(evaluation.noise)),
                            text_of(in(evaluation.other_class))});
        }
    }
    for (const std::string& key : shown_of_texture) {
        const auto in = [&](const std::vector<MetricResult>& results) {
            return text_of(value_of(find(results, "grey", "texture"), key));
        };
        if (in(evaluation.generated) != none) {
            rows.push_back({"texture", key, in(evaluation.generated), in(evaluation.floor),
                            in(evaluation.noise), none});
        }
    }
    return rows;
}

// Why some intercepts are not shown; empty when all are.
std::string extrapolation_line(const ImageEvaluation& evaluation) {
    std::vector<std::string> hidden;
    for (const std::string& extractor : extractors_of(evaluation.generated)) {
        const double r_squared =
            r_squared_of(find(evaluation.generated, extractor, "frechet_distance"));
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

// Rows: a measure in the features; columns: the classes.
std::vector<std::string> class_columns(const ImageEvaluation& evaluation) {
    std::vector<std::string> names = {"features", "measure"};
    for (const MetricResult& result : evaluation.by_class) {
        if (std::find(names.begin() + 2, names.end(), result.of_class) == names.end()) {
            names.push_back(result.of_class);
        }
    }
    return names;
}

Rows class_rows(const ImageEvaluation& evaluation) {
    const std::vector<std::string> names = class_columns(evaluation);
    Rows rows;
    for (const std::string& extractor : extractors_of(evaluation.by_class)) {
        for (const Measure& measure : shown) {
            std::vector<std::string> row = {extractor, measure.key};
            for (std::size_t c = 2; c < names.size(); ++c) {
                row.push_back(text_of(value_of(
                    find(evaluation.by_class, extractor, measure.metric, names[c]), measure.key)));
            }
            if (std::any_of(row.begin() + 2, row.end(),
                            [](const std::string& cell) { return cell != none; })) {
                rows.push_back(std::move(row));
            }
        }
    }
    return rows;
}

std::string class_line(const ImageEvaluation& evaluation) {
    std::vector<std::string> counts;
    for (const std::string& name : class_columns(evaluation)) {
        for (const MetricResult& result : evaluation.by_class) {
            if (result.of_class == name) {
                counts.push_back(fmt::format("{}: {} generated, {} real", name, result.n_generated,
                                             result.n_reference));
                break;
            }
        }
    }
    return fmt::format("Each class by itself ({}). Fewer images than above make the Fréchet "
                       "distance larger: compare classes of one size, or the kernel distance.",
                       fmt::join(counts, "; "));
}

std::string inception_line(const ImageEvaluation& evaluation) {
    const MetricResult* score = find(evaluation.generated, "", "inception_score");
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
    const MetricResult* result = find(evaluation.generated, "", "memorisation");
    return result ? fmt::format("Memorisation in {}: C_T = {:.2f} (well below 0: copies of "
                                "training patches; well above: unlike them), share nearer to "
                                "training than 95 % of the held-out patches {:.3f} (0.05 "
                                "expected).",
                                result->extractor.name, value_of(result, "c_t"),
                                value_of(result, "ratio"))
                  : "";
}

std::string membership_line(const ImageEvaluation& evaluation) {
    const MetricResult* result = find(evaluation.generated, "", "membership");
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

std::string text_table(const std::vector<std::string>& heads, const Rows& rows) {
    std::string text;
    const auto add = [&](const std::vector<std::string>& row) {
        text += fmt::format("{:14} {:26}", row[0], row[1]);
        for (std::size_t i = 2; i < row.size(); ++i) {
            text += fmt::format(" {:>11}", row[i]);
        }
        text += '\n';
    };
    add(heads);
    for (const auto& row : rows) {
        add(row);
    }
    return text;
}

} // namespace

std::string evaluation_table(const ImageEvaluation& evaluation) {
    std::string text = text_table(columns_of(evaluation), rows_of(evaluation));
    for (const std::string& line : {extrapolation_line(evaluation), inception_line(evaluation),
                                    memorisation_line(evaluation), membership_line(evaluation)}) {
        text += line.empty() ? "" : line + "\n";
    }
    if (!evaluation.by_class.empty()) {
        text += "\n" + class_line(evaluation) + "\n" +
                text_table(class_columns(evaluation), class_rows(evaluation));
    }
    return text;
}

PictureSheet memorisation_sheet(const ImageEvaluation& evaluation, const ImageSet& generated,
                                const ImageSet& training, const ImageSet& held_out,
                                std::int64_t rows) {
    PictureSheet sheet{.rows = {},
                       .column_names = {"generated", "training", "held out"},
                       .row_names = {},
                       .scale = 2};
    for (const CopyCandidate& candidate : copy_candidates(evaluation.memorisation, rows)) {
        sheet.rows.push_back({image_at(generated, candidate.generated),
                              image_at(training, candidate.training.index),
                              image_at(held_out, candidate.held_out.index)});
        sheet.row_names.push_back(fmt::format("{:.2f} to training, {:.2f} to held out",
                                              candidate.training.distance,
                                              candidate.held_out.distance));
    }
    return sheet;
}

void add_evaluation_sections(Report& report, const ImageEvaluation& evaluation,
                             const ImageSet& generated, const ImageSet& training,
                             const ImageSet& held_out) {
    report.section("How good are the fakes?");
    const std::string extrapolation = extrapolation_line(evaluation);
    report.table(
        "Generated against real patches. 'other patients' are real patches held out, the figure to "
        "aim at; 'real half' compares two halves of the same patches, closer than fakes can "
        "honestly come; 'noise' and 'other class' say what bad looks like." +
            (extrapolation.empty() ? "" : " " + extrapolation),
        columns_of(evaluation), rows_of(evaluation));
    if (!evaluation.by_class.empty()) {
        report.table(class_line(evaluation), class_columns(evaluation), class_rows(evaluation));
    }
    report.note(
        "Distances are smaller the better, and compare only with the same features and the "
        "same number of images. They are not the published FID or KID: no Inception network "
        "takes part.");
    for (const std::string& line : {inception_line(evaluation), memorisation_line(evaluation),
                                    membership_line(evaluation), evaluation.left_out}) {
        if (!line.empty()) {
            report.paragraph(line);
        }
    }
    if (!evaluation.memorisation.generated_to_training.empty()) {
        report.sheet(
            memorisation_sheet(evaluation, generated, training, held_out, 8),
            "The generated patches nearest to a training patch, with the nearest training and "
            "held-out patch and the distances to them.");
    }
}

} // namespace patchforge
