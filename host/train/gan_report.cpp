#include "host/train/gan_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "data/png.h"
#include "host/run/chart.h"
#include "host/run/report.h"
#include "host/run/run_folder.h"
#include "host/run/version.h"
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
        gan_equilibrium(gan_loss_from_name(text_of(parameters, "loss", "ns")),
                        std::stod(text_of(parameters, "real_label", "1")));
    const std::vector<double> step = metrics.column("step");
    report.chart(
        chart_svg({.title = "Losses",
                   .x_label = "iteration",
                   .y_label = "loss (nats)",
                   .series = {{"discriminator", step, metrics.column("d_loss")},
                              {"generator", step, metrics.column("g_loss")}},
                   .references = {{rest.loss_d, fmt::format("D at equilibrium {:.3f}", rest.loss_d)},
                                  {rest.loss_g, fmt::format("G at equilibrium {:.3f}", rest.loss_g)}}}),
        "Losses, each point the mean since the point before. The lines mark where the game would rest "
        "if fakes were distributed like the patches.");
    report.chart(
        chart_svg({.title = "The discriminator's answers",
                   .x_label = "iteration",
                   .y_label = "mean probability of being real",
                   .series = {{"D(x)", step, metrics.column("D_x")},
                              {"D(G(z))", step, metrics.column("D_G_z")}},
                   .references = {{rest.probability,
                                   fmt::format("equilibrium {:.3f}", rest.probability)}}}),
        "What the discriminator says of real patches, D(x), and of fakes, D(G(z)).");
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
