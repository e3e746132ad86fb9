#include "host/gan/gan_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "data/png.h"
#include "host/evaluate/metric_lines.h"
#include "host/files/entries.h"
#include "host/gan/gan_monitor.h"
#include "host/gan/gan_options.h"
#include "host/model/network_tables.h"
#include "host/page/chart.h"
#include "host/page/report.h"
#include "host/run/run_folder.h"

namespace patchforge {

namespace {

// Grids over time: the first, the last, and a few between them.
std::vector<std::filesystem::path> grids_over_time(const std::filesystem::path& images) {
    const std::vector<std::filesystem::path> all = entries_of(images, "fake_step_");
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

bool holds(const Metrics& metrics, const std::string& column) {
    return std::ranges::find(metrics.columns, column) != metrics.columns.end();
}

std::vector<double> negated(std::vector<double> values) {
    std::ranges::transform(values, values.begin(), std::negate());
    return values;
}

void add_curves(Report& report, const Metrics& metrics, const GanOptions& options) {
    const GanEquilibrium rest = gan_equilibrium(options.loss, options.real_label);
    const bool critic = options.loss == GanLoss::wasserstein;
    const std::vector<double> step = metrics.column("step");
    std::vector<ReferenceLine> rests{{rest.loss_d, fmt::format("D at rest {:.3f}", rest.loss_d)}};
    if (std::isfinite(rest.loss_g)) {
        rests.push_back({rest.loss_g, fmt::format("G at rest {:.3f}", rest.loss_g)});
    }
    report.chart(chart_svg({.title = "Losses",
                            .x_label = "iteration",
                            .y_label = is_logistic(options.loss) ? "loss (nats)" : "loss",
                            .series = {{"discriminator", step, metrics.column("d_loss")},
                                       {"generator", step, metrics.column("g_loss")}},
                            .references = rests}),
                 "Losses, each point the mean since the point before. " + gan_rest_text(options) +
                     ".");
    if (critic) {
        report.chart(
            chart_svg({.title = "The critic's scores",
                       .x_label = "iteration",
                       .y_label = "mean score",
                       .series = {{"patches", step, negated(metrics.column("d_loss_real"))},
                                  {"fakes", step, metrics.column("d_loss_fake")}}}),
            "What the critic says of patches and of fakes. Only the gap between the curves "
            "means something: it estimates how far apart the two distributions are, and "
            "closes at rest.");
        return;
    }
    report.chart(chart_svg({.title = "The discriminator's answers",
                            .x_label = "iteration",
                            .y_label = "mean probability of being real",
                            .series = {{"D(x)", step, metrics.column("D_x")},
                                       {"D(G(z))", step, metrics.column("D_G_z")}},
                            .references = {{rest.probability,
                                            fmt::format("at rest {:.3f}", rest.probability)}}}),
                 "What the discriminator says of real patches, D(x), and of fakes, D(G(z)).");
}

// What the monitor said during the run, gone through again.
GanMonitor looked_through(const Metrics& metrics, GanLoss loss) {
    GanMonitor monitor(loss);
    for (std::size_t row = 0; row < metrics.rows.size(); ++row) {
        monitor.look(static_cast<std::uint64_t>(metrics.rows[row][0]), gan_signs(metrics, row));
    }
    return monitor;
}

// The run in a sentence.
void add_lead(Report& report, const Metrics& metrics, GanLoss loss) {
    const GanMonitor monitor = looked_through(metrics, loss);
    for (const GanEpisode& warning : monitor.standing()) {
        report.lead(fmt::format("The GAN: {} (since iteration {}).", warning.text, warning.first),
                    Tone::bad);
    }
    if (!monitor.standing().empty()) {
        return;
    }
    const double iterations = metrics.column("step").back();
    const double diversity = metrics.column("diversity").back();
    const std::string varied =
        std::isfinite(diversity)
            ? fmt::format("; its fakes differ from each other {:.2f} times as much as patches do",
                          diversity)
            : "";
    if (monitor.judged()) {
        report.lead(fmt::format("The GAN trained for {:.0f} iterations without a sign of collapse, "
                                "divergence, saturation or a discriminator that has won{}.",
                                iterations, varied),
                    Tone::good);
    } else {
        report.lead(fmt::format("The GAN trained for {:.0f} iterations, too few to be judged: that "
                                "takes {} logged intervals behind iteration {}{}.",
                                iterations, gan_thresholds::lasting_looks, gan_thresholds::warm_up,
                                varied));
    }
}

void add_health(Report& report, const Metrics& metrics, const GanOptions& options) {
    const std::vector<double> step = metrics.column("step");
    report.subsection("Health");
    const GanMonitor monitor = looked_through(metrics, options.loss);
    for (const GanEpisode& warning : monitor.over()) {
        report.note(fmt::format("Over: {} (iterations {} to {}).", warning.text, warning.first,
                                warning.last));
    }
    report.chart(chart_svg({.title = "Diversity of fakes",
                            .x_label = "iteration",
                            .y_label = "fakes' distance / patches'",
                            .series = {{"fakes", step, metrics.column("diversity")}},
                            .references = {{1, "as different as patches"},
                                           {gan_thresholds::collapse_diversity, "collapse"}}}),
                 "Mean distance between two fakes in units of the mean distance between two "
                 "patches, by pixels. Near 0 the generator paints one picture over and over.");
    const auto measured = [&](const std::vector<std::pair<const char*, const char*>>& columns) {
        std::vector<Series> series;
        for (const auto& [name, column] : columns) {
            if (holds(metrics, column)) {
                series.push_back({name, step, metrics.column(column)});
            }
        }
        return series;
    };
    const std::vector<Series> norms =
        measured({{"discriminator", "grad_norm_D"}, {"generator", "grad_norm_G"}});
    if (!norms.empty()) {
        report.chart(chart_svg({.title = "Gradient norms",
                                .x_label = "iteration",
                                .y_label = "L2 norm of the gradient",
                                .series = norms}),
                     "Of each network's loss by all its weights, on the same patches and codes "
                     "every time, dropout off.");
    }
    std::vector<Series> shares = measured({{"dead units of D", "dead_D"},
                                           {"dead units of G", "dead_G"},
                                           {"saturated pixels", "saturated"}});
    std::vector<ReferenceLine> half;
    std::string answers;
    if (options.loss != GanLoss::wasserstein) { // a critic's answers have no right and wrong
        shares.insert(shares.begin(),
                      {"right answers of D", step, metrics.column("probe_accuracy")});
        half.push_back({0.5, "D at rest"});
        answers = "Right answers of the discriminator. ";
    }
    report.chart(chart_svg({.title = "Shares",
                            .x_label = "iteration",
                            .y_label = "share",
                            .series = shares,
                            .references = half}),
                 answers + "Hidden units that are above 0 for no row, where there are ReLU units; "
                           "pixels of fakes beyond 0.99 of the range.");
    if (norms.size() < 2) {
        report.note("Gradient norms are not measured where a layer is normalised: the look is "
                    "taken in evaluation mode, and the gradient through a normalised layer is that "
                    "of its training mode.");
    }
}

// What --eval-interval measured.
void add_evaluations(Report& report, const std::filesystem::path& run,
                     const Parameters& parameters) {
    const std::vector<MetricResult> frechet = read_metric_steps(run, "frechet_distance");
    const std::vector<MetricResult> kernel = read_metric_steps(run, "kernel_distance");
    if (frechet.empty() || frechet.back().results.empty()) {
        return;
    }
    report.subsection("Evaluation during training");
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
    const std::vector<Series> kernel_curves = series_of(kernel);
    const Series& last = curves.back();
    const auto best = std::min_element(last.y.begin(), last.y.end()) - last.y.begin();
    report.key_figures({{fmt::format("{:.5g}", last.y[best]), "least Fréchet distance"},
                        {fmt::format("{:.0f}", last.x[best]), "iteration (checkpoints/best)"},
                        {fmt::format("{:.5g}", last.y.back()), "at the last measurement"}});
    const std::string held_out = parameter_texts(parameters)["test_patients"];
    const std::string against = held_out.empty() || held_out == "0"
                                    ? "patches of the data set"
                                    : "patches of the patients held out";
    report.chart(chart_svg({.title = "Fréchet distance",
                            .x_label = "iteration",
                            .y_label = "squared distance of features",
                            .kind = ChartKind::points,
                            .series = curves}),
                 "Fréchet distance of the same fakes every time to " + against +
                     "; smaller is better. The features named in the legend are not those of the "
                     "published FID.");
    report.chart(chart_svg({.title = "Kernel distance",
                            .x_label = "iteration",
                            .y_label = "unbiased squared discrepancy",
                            .kind = ChartKind::points,
                            .series = kernel_curves,
                            .references = {{0, "no difference"}}}),
                 "Kernel distance (the estimator of KID) of the same images.");
    const Series kernel_distances = kernel_curves.empty() ? Series{} : kernel_curves.back();
    std::vector<std::vector<std::string>> rows;
    const std::size_t shown = std::min<std::size_t>(12, last.y.size());
    for (std::size_t i = 0; i < shown; ++i) {
        const std::size_t at = shown > 1 ? i * (last.y.size() - 1) / (shown - 1) : 0;
        const auto same = std::ranges::find(kernel_distances.x, last.x[at]);
        rows.push_back(
            {fmt::format("{:.0f}", last.x[at]), fmt::format("{:.5g}", last.y[at]),
             same == kernel_distances.x.end()
                 ? "–"
                 : fmt::format("{:.4g}", kernel_distances.y[same - kernel_distances.x.begin()])});
    }
    report.table(fmt::format("{}{}", last.name, shown < last.y.size() ? "; some of the steps" : ""),
                 {"iteration", "Fréchet distance", "kernel distance"}, rows);
}

// Patches beside the newest fakes, then how the fakes came to be.
void add_pictures(Report& report, const std::filesystem::path& images) {
    std::vector<std::pair<Image, std::string>> newest, earlier;
    if (std::filesystem::exists(images / "real.png")) {
        newest.emplace_back(read_picture(images / "real.png"), "Patches of the data set");
    }
    if (std::filesystem::exists(images / "small.png")) {
        newest.emplace_back(read_picture(images / "small.png"),
                            "What stage 1 makes of the codes of the fakes");
    }
    for (const std::filesystem::path& grid : grids_over_time(images)) {
        earlier.emplace_back(read_picture(grid),
                             fmt::format("Fakes after {} iterations", step_of(grid)));
    }
    if (!earlier.empty()) {
        newest.push_back(std::move(earlier.back()));
        earlier.pop_back();
    }
    report.gallery(newest);
    if (!earlier.empty()) {
        report.strip(earlier);
        report.note("All grids of fakes show the same 64 latent codes (latents.safetensors).");
    }
}

} // namespace

void add_gan_sections(Report& report, const std::filesystem::path& run) {
    const Parameters parameters = read_parameters(run);
    report.section("Training the GAN");
    const Metrics metrics = read_metrics(run / "metrics.csv");
    const GanOptions options = restored<GanOptions>(parameters);
    if (metrics.rows.empty()) {
        report.lead("The GAN: no step was logged yet.");
    } else {
        add_lead(report, metrics, options.loss);
    }
    add_pictures(report, run / "images");
    if (!metrics.rows.empty()) {
        const auto last = [&](const char* column, double sign = 1) {
            return fmt::format("{:.3f}", sign * metrics.column(column).back());
        };
        const bool critic = options.loss == GanLoss::wasserstein;
        report.key_figures(
            {{fmt::format("{:.0f}", metrics.column("step").back()), "iterations"},
             {last("d_loss"), "discriminator loss"},
             {last("g_loss"), "generator loss"},
             {critic ? last("d_loss_real", -1) : last("D_x"), critic ? "score of patches" : "D(x)"},
             {critic ? last("d_loss_fake") : last("D_G_z"),
              critic ? "score of fakes" : "D(G(z))"}});
        add_curves(report, metrics, options);
        add_health(report, metrics, options);
    }
    add_evaluations(report, run, parameters);
    add_network_tables(report, run);
    add_parameters(report, "Settings of the GAN", parameters);
}

void write_gan_report(const std::filesystem::path& run) {
    Report report(run.filename().string() + ": a GAN on image patches");
    add_gan_sections(report, run);
    report.write(run / "report.html");
}

} // namespace patchforge
