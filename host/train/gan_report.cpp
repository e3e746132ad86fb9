#include "host/train/gan_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "data/png.h"
#include "host/evaluate/metric_lines.h"
#include "host/run/chart.h"
#include "host/run/report.h"
#include "host/run/run_folder.h"
#include "host/run/version.h"
#include "host/train/gan_health.h"
#include "host/train/gan_options.h"

namespace patchforge {

namespace {

std::string text_of(const Parameters& parameters, const std::string& name,
                    const std::string& otherwise) {
    for (const auto& [key, value] : parameters) {
        if (key == name) {
            return parameter_text(value);
        }
    }
    return otherwise;
}

// What the sections below need of the settings.
GanOptions options_of(const Parameters& parameters) {
    GanOptions options;
    choose_loss(options, text_of(parameters, "loss", "ns"));
    options.real_label = std::stod(text_of(parameters, "real_label", "1"));
    return options;
}

// Grids over time: the first, the last, and a few between them.
std::vector<std::filesystem::path> grids_over_time(const std::filesystem::path& images) {
    std::vector<std::filesystem::path> all;
    for (const auto& entry : std::filesystem::directory_iterator(images)) {
        if (entry.path().filename().string().rfind("fake_step_", 0) == 0) {
            all.push_back(entry.path());
        }
    }
    std::sort(all.begin(), all.end());
    constexpr std::size_t shown = 4;
    if (all.size() <= shown) {
        return all;
    }
    std::vector<std::filesystem::path> chosen;
    for (std::size_t i = 0; i < shown; ++i) {
        chosen.push_back(all[i * (all.size() - 1) / (shown - 1)]);
    }
    return chosen;
}

// fake_step_0001000.png -> 1000
std::int64_t step_of(const std::filesystem::path& grid) {
    return std::stoll(grid.stem().string().substr(std::string("fake_step_").size()));
}

void add_curves(Report& report, const std::filesystem::path& run, const Parameters& parameters) {
    const Metrics metrics = read_metrics(run / "metrics.csv");
    if (metrics.rows.empty()) {
        report.paragraph("No step was logged yet.");
        return;
    }
    const GanEquilibrium rest =
        gan_equilibrium(options_of(parameters).loss, options_of(parameters).real_label);
    const std::vector<double> step = metrics.column("step");
    report.chart(
        chart_svg(
            {.title = "Losses",
             .x_label = "iteration",
             .y_label = "loss (nats)",
             .series = {{"discriminator", step, metrics.column("d_loss")},
                        {"generator", step, metrics.column("g_loss")}},
             .references = {{rest.loss_d, fmt::format("D at equilibrium {:.3f}", rest.loss_d)},
                            {rest.loss_g, fmt::format("G at equilibrium {:.3f}", rest.loss_g)}}}),
        "Losses, each point the mean since the point before. The lines mark where the game would "
        "rest "
        "if fakes were distributed like the patches.");
    report.chart(chart_svg({.title = "The discriminator's answers",
                            .x_label = "iteration",
                            .y_label = "mean probability of being real",
                            .series = {{"D(x)", step, metrics.column("D_x")},
                                       {"D(G(z))", step, metrics.column("D_G_z")}},
                            .references = {{rest.probability,
                                            fmt::format("equilibrium {:.3f}", rest.probability)}}}),
                 "What the discriminator says of real patches, D(x), and of fakes, D(G(z)).");
}

void add_health(Report& report, const Parameters& parameters, const Metrics& metrics) {
    const std::vector<double> step = metrics.column("step");
    const auto series = [&](const char* name, const char* column) -> Series {
        return {name, step, metrics.column(column)};
    };
    report.section("Health");
    const std::size_t last = step.size() - 1;
    const auto value = [&](const char* column) { return metrics.column(column)[last]; };
    GanSigns signs{value("D_x"), value("D_G_z"), value("d_loss"), value("g_loss"), {}};
    signs.health = {value("probe_accuracy"), value("grad_norm_D"),      value("grad_norm_G"),
                    value("dead_D"),         value("dead_G"),           value("saturated"),
                    value("diversity"),      value("saturated_patches")};
    const std::vector<std::string> warnings = gan_warnings(signs, options_of(parameters).loss);
    for (const std::string& warning : warnings) {
        report.paragraph(warning + ".");
    }
    if (warnings.empty()) {
        report.paragraph("At the last logged step nothing looks like collapse, divergence or a "
                         "discriminator that has won.");
    }
    report.chart(chart_svg({.title = "Diversity of fakes",
                            .x_label = "iteration",
                            .y_label = "distance of fakes / distance of patches",
                            .series = {series("fakes", "diversity")},
                            .references = {{1, "as different as patches"},
                                           {gan_thresholds::collapse_diversity, "collapse"}}}),
                 "Mean distance between two fakes in units of the mean distance between two "
                 "patches, by pixels. Near 0 the generator paints one picture over and over.");
    report.chart(chart_svg({.title = "Gradient norms",
                            .x_label = "iteration",
                            .y_label = "L2 norm of the gradient",
                            .series = {series("discriminator", "grad_norm_D"),
                                       series("generator", "grad_norm_G")},
                            .references = {}}),
                 "Of each network's loss by all its weights, on the same patches and codes every "
                 "time, dropout off.");
    report.chart(
        chart_svg(
            {.title = "Shares",
             .x_label = "iteration",
             .y_label = "share",
             .series = {series("right answers of D", "probe_accuracy"),
                        series("dead units of D", "dead_D"), series("dead units of G", "dead_G"),
                        series("saturated pixels", "saturated")},
             .references = {{0.5, "D at equilibrium"}}}),
        "Right answers of the discriminator, hidden units that are above 0 for no row, and "
        "pixels of fakes beyond 0.99 of the range.");
}

// What --eval-interval measured.
void add_evaluations(Report& report, const std::filesystem::path& run,
                     const Parameters& parameters) {
    const std::vector<MetricResult> frechet = read_metric_steps(run, "frechet_distance");
    const std::vector<MetricResult> kernel = read_metric_steps(run, "kernel_distance");
    if (frechet.empty()) {
        return;
    }
    report.section("Evaluation during training");
    // In other features or of other numbers of images a distance is another one: a curve each.
    const auto series_of = [](const std::vector<MetricResult>& lines) {
        std::vector<Series> series;
        for (const MetricResult& line : lines) {
            const std::string name = fmt::format("{}, {} fakes, {} patches", line.extractor.name,
                                                 line.n_generated, line.n_reference);
            if (line.results.empty() || (series.size() == 8 && series.back().name != name)) {
                continue;
            }
            if (series.empty() || series.back().name != name) {
                series.push_back({name, {}, {}});
            }
            series.back().x.push_back(static_cast<double>(*line.step));
            series.back().y.push_back(line.results.front().second);
        }
        return series;
    };
    const std::vector<Series> curves = series_of(frechet);
    const Series& last = curves.back();
    const auto best = std::min_element(last.y.begin(), last.y.end()) - last.y.begin();
    report.key_figures(
        {{fmt::format("{:.5g}", last.y[static_cast<std::size_t>(best)]), "least Fréchet distance"},
         {fmt::format("{:.0f}", last.x[static_cast<std::size_t>(best)]),
          "iteration (checkpoints/best)"},
         {fmt::format("{:.5g}", last.y.back()), "at the last measurement"}});
    const std::string against = text_of(parameters, "test_patients", "0") == "0"
                                    ? "patches of the data set"
                                    : "patches of the patients held out";
    report.chart(chart_svg({.title = "Fréchet distance",
                            .x_label = "iteration",
                            .y_label = "squared distance of features",
                            .kind = ChartKind::points,
                            .series = curves,
                            .references = {}}),
                 "Fréchet distance of the same fakes every time to " + against +
                     "; smaller is better. The features named in the legend are not those of the "
                     "published FID.");
    report.chart(chart_svg({.title = "Kernel distance",
                            .x_label = "iteration",
                            .y_label = "unbiased squared discrepancy",
                            .kind = ChartKind::points,
                            .series = series_of(kernel),
                            .references = {{0, "no difference"}}}),
                 "Kernel distance (the estimator of KID) of the same images.");
    std::vector<std::vector<std::string>> rows;
    const std::size_t shown = std::min<std::size_t>(12, last.y.size());
    for (std::size_t i = 0; i < shown; ++i) {
        const std::size_t at = shown > 1 ? i * (last.y.size() - 1) / (shown - 1) : 0;
        rows.push_back({fmt::format("{:.0f}", last.x[at]), fmt::format("{:.5g}", last.y[at])});
    }
    report.table(fmt::format("Fréchet distance, {}{}", last.name,
                             shown < last.y.size() ? "; some of the steps" : ""),
                 {"iteration", "Fréchet distance"}, rows);
}

} // namespace

void add_gan_sections(Report& report, const std::filesystem::path& run) {
    const Parameters parameters = read_parameters(run);
    report.section("Training the GAN");
    const Metrics metrics = read_metrics(run / "metrics.csv");
    if (!metrics.rows.empty()) {
        const auto last = [&](const char* column) {
            return fmt::format("{:.3f}", metrics.column(column).back());
        };
        report.key_figures({{fmt::format("{:.0f}", metrics.column("step").back()), "iterations"},
                            {last("d_loss"), "discriminator loss"},
                            {last("g_loss"), "generator loss"},
                            {last("D_x"), "D(x)"},
                            {last("D_G_z"), "D(G(z))"}});
    }
    add_curves(report, run, parameters);
    if (!metrics.rows.empty()) {
        add_health(report, parameters, metrics);
    }
    add_evaluations(report, run, parameters);

    report.section("Pictures");
    std::vector<std::pair<Image, std::string>> pictures;
    const std::filesystem::path images = run / "images";
    if (std::filesystem::exists(images / "real.png")) {
        pictures.emplace_back(read_png(images / "real.png"), "Patches of the data set");
    }
    for (const std::filesystem::path& grid : grids_over_time(images)) {
        pictures.emplace_back(read_png(grid),
                              fmt::format("Fakes after {} iterations", step_of(grid)));
    }
    report.gallery(pictures);
    report.note("All grids of fakes show the same 64 latent codes (latents.safetensors).");

    report.section("Settings");
    std::vector<std::pair<std::string, std::string>> facts;
    for (const auto& [name, value] : parameters) {
        facts.emplace_back(name, parameter_text(value));
    }
    facts.emplace_back("patchforge", version_text());
    report.facts(facts);
}

void write_gan_report(const std::filesystem::path& run) {
    Report report(run.filename().string() + ": a GAN on image patches",
                  "Losses, the discriminator's answers and the pictures of one training run.");
    add_gan_sections(report, run);
    report.write(run / "report.html");
}

} // namespace patchforge
