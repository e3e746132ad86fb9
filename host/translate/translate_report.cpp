#include "host/translate/translate_report.h"

#include "host/files/json_file.h"
#include "host/model/network_tables.h"
#include "host/page/chart.h"
#include "host/page/kept_sheet.h"
#include "host/page/report.h"
#include "host/run/run_folder.h"

namespace patchforge {

namespace {

std::string title_of(const TranslateOptions& options) {
    switch (options.mode) {
    case TranslationMode::super_resolution:
        return "Super-resolution";
    case TranslationMode::paired:
        return "Pictures from pictures, in pairs";
    case TranslationMode::cycle:
        return "Pictures from pictures, in cycles";
    case TranslationMode::refine:
        break;
    }
    return "Drawings made to look real";
}

void add_results(Report& report, const std::filesystem::path& file, bool verdicts) {
    if (!std::filesystem::exists(file)) {
        if (verdicts) {
            report.lead("Nothing was measured yet: that happens at the end of the training.");
        }
        return;
    }
    const Json json = read_json(file);
    if (verdicts) {
        for (const Json& verdict : json.at("verdicts").items()) {
            report.lead(verdict.at("text").string(),
                        verdict.at("good").boolean() ? Tone::good : Tone::bad);
        }
        return;
    }
    for (const Json& table : json.at("tables").items()) {
        std::vector<std::vector<std::string>> rows;
        for (const Json& row : table.at("rows").items()) {
            rows.push_back(row.strings());
        }
        report.table(table.at("caption").string(), table.at("columns").strings(), rows);
    }
    for (const std::string& note : json.at("notes").strings()) {
        report.note(note);
    }
}

} // namespace

std::string results_json(const TranslationResults& results) {
    Json json{{"figures", results.figures},
              {"notes", results.notes},
              {"tables", Json::array()},
              {"verdicts", Json::array()}};
    for (const auto& [caption, columns, rows] : results.tables) {
        json["tables"].push_back({{"caption", caption}, {"columns", columns}, {"rows", rows}});
    }
    for (const auto& [text, good] : results.verdicts) {
        json["verdicts"].push_back({{"good", good}, {"text", text}});
    }
    return json.dump(1) + "\n";
}

namespace {

using Heading = void (Report::*)(const std::string&);

void add_parts(Report& report, const std::filesystem::path& run, const Parameters& parameters,
               Heading heading) {
    const std::filesystem::path results = run / "results.json";
    reading_json(results.string(), [&] { add_results(report, results, true); });
    (report.*heading)("Pictures");
    add_kept_sheets(report, run);
    if (std::filesystem::exists(results)) {
        (report.*heading)("Figures");
        reading_json(results.string(), [&] { add_results(report, results, false); });
    }
    (report.*heading)("Training");
    const Metrics metrics = read_metrics(run / "metrics.csv");
    if (metrics.rows.empty()) {
        report.paragraph("No step was logged yet.");
    } else {
        const std::vector<double> step = metrics.column("step");
        std::vector<Series> distances, game;
        for (const std::string& name : metrics.columns) {
            const bool distance =
                name == "l1" || name.starts_with("cycle") || name.starts_with("identity");
            const bool loss = name.find("loss") != std::string::npos ||
                              name.find("adversarial") != std::string::npos;
            if (distance) {
                distances.push_back({name, step, metrics.column(name)});
            } else if (loss && game.size() < 8) {
                game.push_back({name, step, metrics.column(name)});
            }
        }
        report.chart(chart_svg({.title = "Distances",
                                .x_label = "iteration",
                                .y_label = "mean |difference|, pixels in [-1, 1]",
                                .series = distances}),
                     "Distances that the generators are to make small, unweighted, each point the "
                     "mean since the point before.");
        if (!game.empty()) {
            report.chart(chart_svg({.title = "The game",
                                    .x_label = "iteration",
                                    .y_label = "loss",
                                    .series = game}),
                         "Losses of the game as the players' gradients see them; they need not "
                         "fall.");
        }
    }
    add_network_tables(report, run);
    add_parameters(report, "Settings of the translation, " + run.filename().string(), parameters);
}

} // namespace

void add_translate_section(Report& report, const std::filesystem::path& run) {
    const Parameters parameters = read_parameters(run);
    report.section(title_of(restored<TranslateOptions>(parameters)));
    add_parts(report, run, parameters, &Report::subsection);
}

void write_translate_report(const std::filesystem::path& run) {
    const Parameters parameters = read_parameters(run);
    Report report(title_of(restored<TranslateOptions>(parameters)),
                  "A training of patchforge: docs/translate.md says what it does, what it teaches "
                  "and where it fails.");
    add_parts(report, run, parameters, &Report::section);
    report.write(run / "report.html");
}

} // namespace patchforge
