#include "host/evaluate/evaluation_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/escape.h"
#include "host/evaluate/evaluation_words.h"
#include "host/evaluate/texture.h"
#include "host/page/bar_chart.h"
#include "host/page/chart.h"
#include "host/page/figure_text.h"
#include "host/page/report.h"
#include "host/page/text_table.h"

namespace patchforge {

namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string text_of(double value, int digits = 5) {
    return std::isfinite(value) ? fmt::format("{:.{}g}", value, digits) : undefined;
}

// Of real patches that nobody could beat.
std::string floor_name(const ImageEvaluation& evaluation) {
    return evaluation.floor.empty() ? "real" : evaluation.floor.front().compared;
}

struct Row {
    std::string features;
    const Measure* measure;
    double generated, floor, noise, other_class;
};

std::vector<Row> rows_of(const ImageEvaluation& evaluation) {
    std::vector<Row> rows;
    const auto add = [&](const std::string& features, const Measure& measure) {
        const auto in = [&](const std::vector<MetricResult>& results) {
            return value_of(find_result(results, features, measure.metric), measure.key);
        };
        if (std::isfinite(in(evaluation.generated))) {
            rows.push_back({features, &measure, shown_value(evaluation, features, measure),
                            in(evaluation.floor), in(evaluation.noise),
                            in(evaluation.other_class)});
        }
    };
    for (const std::string& extractor : extractors_of(evaluation.generated)) {
        for (const Measure& measure : shown_measures()) {
            add(extractor, measure);
        }
    }
    for (const Measure& measure : texture_measures()) {
        add("grey", measure);
    }
    return rows;
}

std::vector<std::string> classes_of(const ImageEvaluation& evaluation) {
    std::vector<std::string> names;
    for (const MetricResult& result : evaluation.by_class) {
        if (std::ranges::count(names, result.of_class) == 0) {
            names.push_back(result.of_class);
        }
    }
    return names;
}

struct ClassRow {
    std::string features;
    const Measure* measure;
    std::vector<double> values; // of each class
};

std::vector<ClassRow> class_rows(const ImageEvaluation& evaluation) {
    std::vector<ClassRow> rows;
    for (const std::string& extractor : extractors_of(evaluation.by_class)) {
        for (const Measure& measure : shown_measures()) {
            ClassRow row{extractor, &measure, {}};
            for (const std::string& name : classes_of(evaluation)) {
                row.values.push_back(
                    value_of(find_result(evaluation.by_class, extractor, measure.metric, name),
                             measure.key));
            }
            if (std::ranges::any_of(row.values, [](double v) { return std::isfinite(v); })) {
                rows.push_back(std::move(row));
            }
        }
    }
    return rows;
}

constexpr std::int64_t pictures_a_row = 8;

// The next of a label (-1: of any) from `at` on.
std::vector<Image> some_of(const ImageSet& set, std::int32_t label, std::int64_t& at) {
    std::vector<Image> some;
    for (; at < set.count() && std::ssize(some) < pictures_a_row; ++at) {
        if (label < 0 || set.labels[at] == label) {
            some.push_back(image_at(set, at));
        }
    }
    return some;
}

// A drawing is as good with some of them.
constexpr std::int64_t drawn = 500;

void add_texture_charts(Report& report, const EvaluatedImages& images) {
    const int side = images.training.shape.height;
    if (std::min(side, images.training.shape.width) < 3) {
        return;
    }
    std::vector<Series> sharpness, spectra;
    const auto add = [&](const std::string& name, const ImageSet& set) {
        if (set.count() == 0) {
            return;
        }
        PictureBytes bytes = bytes_of(set);
        bytes.bytes = bytes.bytes.first(
            static_cast<std::size_t>(std::min(set.count(), drawn) * bytes.extent.size()));
        const std::vector<float> deviations = laplacian_deviations(bytes);
        sharpness.push_back({name, {}, {deviations.begin(), deviations.end()}});
        if (side == images.training.shape.width) {
            spectra.push_back({name, {}, radial_spectrum(bytes)});
            for (std::size_t ring = 0; ring < spectra.back().y.size(); ++ring) {
                spectra.back().x.push_back(static_cast<double>(ring + 1));
            }
        }
    };
    add("fakes", images.generated);
    add("real patches", images.training);
    add("of other patients", images.held_out);
    report.chart(
        histogram_svg({.title = "Sharpness",
                       .x_label = "deviation of the Laplacian, grey levels",
                       .series = sharpness}),
        "How sharp they are: blurred fakes lie to the left of real patches, noisy ones to the "
        "right.");
    if (!spectra.empty()) {
        report.chart(chart_svg({.title = "Power spectrum",
                                .x_label = "cycles over the picture",
                                .y_label = "power, log10",
                                .series = spectra}),
                     "How much there is of coarse (left) and fine structure (right).");
    }
}

void add_share_charts(Report& report, const ImageEvaluation& evaluation) {
    for (const std::string& extractor : extractors_of(evaluation.generated)) {
        BarChart chart{
            .title = "Shares in " + extractor, .rows = {}, .series = {{"fakes", {}}}, .full = 1};
        std::vector<const std::vector<MetricResult>*> sources = {&evaluation.generated};
        for (const auto& [name, results] : {std::pair(floor_name(evaluation), &evaluation.floor),
                                            std::pair(std::string("noise"), &evaluation.noise)}) {
            if (!results->empty()) {
                chart.series.push_back({name, {}});
                sources.push_back(results);
            }
        }
        for (const Measure& measure : shown_measures()) {
            if ((measure.key == "precision" || measure.key == "recall" ||
                 measure.key == "coverage") &&
                std::isfinite(shown_value(evaluation, extractor, measure))) {
                chart.rows.push_back(measure.words);
                for (std::size_t i = 0; i < sources.size(); ++i) {
                    chart.series[i].values.push_back(
                        value_of(find_result(*sources[i], extractor, measure.metric), measure.key));
                }
            }
        }
        if (!chart.rows.empty()) {
            report.chart(bars_svg(chart),
                         "Shares in " + extractor_words(extractor) +
                             (evaluation.floor.empty()
                                  ? "."
                                  : "; the bars of real patches are the figures to aim at."));
        }
    }
}

constexpr const char* floors_note = "“Other patients” are real patches held out, the figure to aim "
                                    "at; “real half” compares two halves "
                                    "of the same patches, closer than fakes can honestly come; "
                                    "noise and another class say what bad "
                                    "looks like. ";

void add_tables(Report& report, const ImageEvaluation& evaluation) {
    const std::vector<std::string> columns = {"measure", "fakes",       floor_name(evaluation),
                                              "noise",   "other class", "better"};
    const std::vector<Row> rows = rows_of(evaluation);
    for (std::size_t first = 0; first < rows.size();) {
        const std::string& features = rows[first].features;
        Rows cells;
        std::size_t i = first;
        for (; i < rows.size() && rows[i].features == features; ++i) {
            const Row& row = rows[i];
            if (!std::isfinite(row.generated)) {
                continue; // a note says why
            }
            cells.push_back({row.measure->words, text_of(row.generated, 4), text_of(row.floor, 4),
                             text_of(row.noise, 4), text_of(row.other_class, 4),
                             row.measure->smaller_is_better ? "smaller" : "larger"});
        }
        report.table(features == "grey" ? "Texture of the grey pictures, without features"
                                        : "In " + extractor_words(features),
                     columns, cells);
        first = i;
    }
    const std::string extrapolation = extrapolation_line(evaluation);
    report.note(
        std::string(evaluation.floor.empty() ? "" : floors_note) +
        "Distances compare only with the same features and the same number of images. They are not "
        "the published FID or KID: no Inception network takes part." +
        (extrapolation.empty() ? "" : " " + extrapolation));
    if (!evaluation.by_class.empty()) {
        const std::vector<std::string> names = classes_of(evaluation);
        std::vector<std::string> class_columns = {"measure", "features"};
        class_columns.insert(class_columns.end(), names.begin(), names.end());
        Rows cells;
        for (const ClassRow& row : class_rows(evaluation)) {
            cells.push_back({row.measure->words, row.features});
            for (const double value : row.values) {
                cells.back().push_back(text_of(value, 4));
            }
        }
        report.table(class_line(evaluation), class_columns, cells);
    }
}

void add_memorisation(Report& report, const ImageEvaluation& evaluation,
                      const EvaluatedImages& images) {
    const Memorisation& m = evaluation.memorisation;
    if (m.generated_to_training.empty()) {
        return;
    }
    report.section("Are training patches copied?");
    report.sheet(
        memorisation_sheet(evaluation, images.generated, images.training, images.held_out, 8),
        "The fakes nearest to a training patch, with the nearest training and held-out patch and "
        "the distances to them.");
    const auto distances = [](const std::string& name, const std::vector<Neighbour>& neighbours) {
        Series series{name, {}, {}};
        for (const Neighbour& neighbour : neighbours) {
            series.y.push_back(neighbour.distance);
        }
        return series;
    };
    report.chart(
        histogram_svg({.title = "Distance to the nearest training patch",
                       .x_label = "distance to the nearest training patch",
                       .series = {distances("fakes", m.generated_to_training),
                                  distances("patches of other patients", m.held_out_to_training)}}),
        "Copies would lie to the left of what other patients' patches give.");
    for (const std::string& line : {memorisation_line(evaluation), membership_line(evaluation)}) {
        if (!line.empty()) {
            report.note(line);
        }
    }
}

} // namespace

std::string evaluation_table(const ImageEvaluation& evaluation) {
    Rows rows;
    for (const Row& row : rows_of(evaluation)) {
        rows.push_back({row.features == "grey" ? "texture" : row.features, row.measure->key,
                        text_of(row.generated), text_of(row.floor), text_of(row.noise),
                        text_of(row.other_class)});
    }
    std::string text = table_text(
        {"features", "measure", "generated", floor_name(evaluation), "noise", "other class"}, rows);
    for (const std::string& line : {extrapolation_line(evaluation), inception_line(evaluation),
                                    memorisation_line(evaluation), membership_line(evaluation)}) {
        text += line.empty() ? "" : line + "\n";
    }
    if (!evaluation.by_class.empty()) {
        const std::vector<std::string> names = classes_of(evaluation);
        std::vector<std::string> heads = {"features", "measure"};
        heads.insert(heads.end(), names.begin(), names.end());
        rows.clear();
        for (const ClassRow& row : class_rows(evaluation)) {
            rows.push_back({row.features, row.measure->key});
            for (const double value : row.values) {
                rows.back().push_back(text_of(value));
            }
        }
        text += "\n" + terminal_text(class_line(evaluation)) + "\n" + table_text(heads, rows);
    }
    return text;
}

PictureSheet fakes_beside_real(const ImageSet& generated, const ImageSet& real,
                               const std::vector<std::string>& class_names) {
    PictureSheet sheet{.scale = sheet_scale(real.shape.width)};
    const auto add = [&](const std::string& name, std::vector<Image> pictures) {
        if (!pictures.empty()) {
            sheet.row_names.push_back(name);
            sheet.rows.push_back(std::move(pictures));
        }
    };
    if (generated.labels.empty() || real.labels.empty()) {
        std::int64_t next_real = 0, next_fake = 0;
        for (int row = 0; row < 2; ++row) {
            add("real patches", some_of(real, -1, next_real));
            add("fakes", some_of(generated, -1, next_fake));
        }
        return sheet;
    }
    const std::size_t classes = std::min<std::size_t>(5, class_names.size());
    for (std::size_t c = 0; c < classes; ++c) {
        std::int64_t next_real = 0, next_fake = 0;
        add("real: " + class_names[c], some_of(real, static_cast<std::int32_t>(c), next_real));
        add("fakes: " + class_names[c],
            some_of(generated, static_cast<std::int32_t>(c), next_fake));
    }
    return sheet;
}

PictureSheet memorisation_sheet(const ImageEvaluation& evaluation, const ImageSet& generated,
                                const ImageSet& training, const ImageSet& held_out,
                                std::int64_t rows) {
    PictureSheet sheet{.column_names = {"generated", "training", "held out"},
                       .scale = sheet_scale(training.shape.width)};
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
                             const EvaluatedImages& images) {
    for (const EvaluationVerdict& verdict : evaluation_verdicts(evaluation)) {
        report.lead(verdict.text, verdict.bad ? Tone::bad : Tone::neutral);
    }
    report.section("Fakes beside real patches");
    report.sheet(fakes_beside_real(images.generated, images.training, images.class_names),
                 "Some of those compared, not chosen by looking.");
    report.section("How good are the fakes?");
    add_share_charts(report, evaluation);
    add_texture_charts(report, images);
    add_tables(report, evaluation);
    for (const std::string& line : {inception_line(evaluation), evaluation.left_out}) {
        if (!line.empty()) {
            report.note(line);
        }
    }
    add_memorisation(report, evaluation, images);
}

} // namespace patchforge
