#include "host/classifier/classifier_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "host/model/network_tables.h"
#include "host/page/chart.h"
#include "host/page/figure_text.h"
#include "host/page/kept_sheet.h"
#include "host/page/report.h"
#include "host/run/run_folder.h"

namespace patchforge {

void add_classifier_sections(Report& report, const std::filesystem::path& run) {
    const std::string name = fmt::format("Classifier “{}”", run.filename().string());
    report.section(name);
    const Metrics metrics = read_metrics(run / "metrics.csv");
    const Parameters parameters = read_parameters(run);
    if (metrics.rows.empty()) {
        report.lead(name + ": no epoch was finished yet.");
    } else {
        const std::vector<double> balanced = metrics.column("balanced_accuracy");
        const bool adversarial =
            std::ranges::count(metrics.columns, "robust_balanced_accuracy") > 0;
        const std::vector<double> robust =
            adversarial ? metrics.column("robust_balanced_accuracy") : balanced;
        const std::vector<double> score = metrics.column("score");
        const std::string validation = parameter_texts(parameters)["validation_patches"];
        const bool validated = !validation.empty() && validation != "0";
        const auto best = std::max_element(score.begin(), score.end()) - score.begin();
        const auto at_best = [&](const char* column) {
            return figure_text(metrics.column(column)[best], 3);
        };
        const auto percent = [&](const std::vector<double>& shares) {
            return fmt::format("{:.1f}", 100 * shares[best]);
        };
        std::vector<std::pair<std::string, std::string>> figures = {
            {at_best("balanced_accuracy"), "balanced accuracy"},
            {at_best("auc"), "AUC"},
            {at_best("sensitivity"), "sensitivity"},
            {at_best("specificity"), "specificity"},
            {fmt::format("{}", best + 1), "best epoch"}};
        if (adversarial) {
            figures.insert(figures.begin() + 1,
                           {at_best("robust_balanced_accuracy"), "the same under attack"});
        }
        report.lead(fmt::format(
            "{} calls {} % of the test patches right, every class counted alike{} (AUC {}, "
            "epoch {} of {}).",
            name, percent(balanced),
            adversarial
                ? fmt::format(", and {} % under the attack of its training", percent(robust))
                : "",
            at_best("auc"), best + 1, metrics.rows.size()));
        report.key_figures(figures);
        report.note(
            fmt::format("On the test patches, at the epoch with the best {} {}{}",
                        adversarial ? "mean of both balanced accuracies" : "balanced accuracy",
                        validated ? "on the validation patches: others, of other patients."
                                  : "there; that choice flatters these figures a little.",
                        adversarial ? " The attack is the one it was trained with; judge it "
                                      "by a stronger one (patchforge attack)."
                                    : ""));
        add_kept_sheets(report, run);
        const std::vector<double> epoch = metrics.column("epoch");
        report.chart(chart_svg({.title = "Cross-entropy",
                                .x_label = "epoch",
                                .y_label = "loss (nats)",
                                .series = {{"training", epoch, metrics.column("train_loss")},
                                           {"test", epoch, metrics.column("test_loss")}}}),
                     "Mean cross-entropy; the training value is taken with dropout.");
        std::vector<Series> scores = {{"balanced accuracy", epoch, balanced},
                                      {"AUC", epoch, metrics.column("auc")},
                                      {"sensitivity", epoch, metrics.column("sensitivity")},
                                      {"specificity", epoch, metrics.column("specificity")}};
        if (adversarial) {
            scores.push_back({"balanced accuracy under attack", epoch, robust});
        }
        report.chart(chart_svg({.title = "Scores on the test patches",
                                .x_label = "epoch",
                                .y_label = "share",
                                .series = scores,
                                .references = {{0.5, "chance (two classes)"}}}),
                     "Scores on the test patches after each epoch.");
    }
    add_network_tables(report, run);
    add_parameters(report, fmt::format("Settings of the classifier “{}”", run.filename().string()),
                   parameters);
}

void write_classifier_report(const std::filesystem::path& run, double training_seconds) {
    Report report(run.filename().string() + ": a classifier of image patches",
                  training_seconds > 0
                      ? fmt::format("One training run, {:.1f} s of training.", training_seconds)
                      : "One training run.");
    add_classifier_sections(report, run);
    report.write(run / "report.html");
}

} // namespace patchforge
