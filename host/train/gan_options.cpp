#include "host/train/gan_options.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <stdexcept>

namespace patchforge {

namespace {

constexpr std::array<const char*, 5> loss_names = {"ns", "minimax", "lsgan", "hinge", "wgan"};

void require(bool holds, const char* option, const std::string& value, const char* range) {
    if (!holds) {
        throw std::invalid_argument(
            fmt::format("{} {}: out of range; give a value {}", option, value, range));
    }
}

void require_number(bool holds, const char* option, double value, const char* range) {
    require(holds && std::isfinite(value), option, fmt::format("{}", value), range);
}

} // namespace

const char* gan_loss_name(GanLoss loss) { return loss_names[static_cast<std::size_t>(loss)]; }

GanLoss gan_loss_from_name(const std::string& name) {
    for (std::size_t i = 0; i < loss_names.size(); ++i) {
        if (name == loss_names[i]) {
            return static_cast<GanLoss>(i);
        }
    }
    throw std::invalid_argument(
        fmt::format("--loss {}: no such loss; use one of {}", name, fmt::join(loss_names, ", ")));
}

void GanOptions::validate() const {
    const auto number = [](double value) { return fmt::format("{}", value); };
    require(epochs >= 1, "--epochs", number(epochs), "of at least 1");
    require(steps >= 0, "--steps", number(steps), "of at least 0 (0: by epochs)");
    require(batch_size >= 1 && batch_size <= 65536, "--batch-size", number(batch_size),
            "from 1 to 65536");
    require(latent_dim >= 1 && latent_dim <= 65536, "--latent-dim", number(latent_dim),
            "from 1 to 65536");
    require(!hidden_dims.empty() && hidden_dims.size() <= 16, "--hidden-dims",
            fmt::format("{}", fmt::join(hidden_dims, ",")), "of 1 to 16 widths");
    for (const std::int64_t width : hidden_dims) {
        require(width >= 1 && width <= 65536, "--hidden-dims", number(width), "from 1 to 65536");
    }
    require_number(learning_rate_d > 0 && learning_rate_d <= 1, "--lr-d", learning_rate_d,
                   "above 0, up to 1");
    require_number(learning_rate_g > 0 && learning_rate_g <= 1, "--lr-g", learning_rate_g,
                   "above 0, up to 1");
    require_number(beta1 >= 0 && beta1 < 1, "--b1", beta1, "from 0 to below 1");
    require_number(beta2 >= 0 && beta2 < 1, "--b2", beta2, "from 0 to below 1");
    require_number(adam_epsilon > 0 && adam_epsilon <= 1, "--adam-eps", adam_epsilon,
                   "above 0, up to 1");
    require_number(dropout >= 0 && dropout < 1, "--dropout", dropout, "from 0 to below 1");
    require_number(leaky_slope > 0 && leaky_slope < 1, "--leaky-slope", leaky_slope,
                   "between 0 and 1");
    require_number(real_label > 0 && real_label <= 1, "--real-label", real_label,
                   "above 0, up to 1");
    require(n_critic >= 1 && n_critic <= 100, "--n-critic", number(n_critic), "from 1 to 100");
    if (real_label != 1 && loss != GanLoss::non_saturating && loss != GanLoss::minimax) {
        throw std::invalid_argument(fmt::format(
            "--real-label {}: label smoothing needs a logistic loss; use --loss ns or minimax",
            real_label));
    }
}

std::vector<std::pair<std::string, std::string>> GanOptions::listed() const {
    const auto text = [](const auto& value) { return fmt::format("{}", value); };
    return {{"epochs", text(epochs)},
            {"steps", text(steps)},
            {"batch_size", text(batch_size)},
            {"latent_dim", text(latent_dim)},
            {"hidden_dims", fmt::format("{}", fmt::join(hidden_dims, ","))},
            {"lr_d", text(learning_rate_d)},
            {"lr_g", text(learning_rate_g)},
            {"b1", text(beta1)},
            {"b2", text(beta2)},
            {"adam_eps", text(adam_epsilon)},
            {"dropout", text(dropout)},
            {"leaky_slope", text(leaky_slope)},
            {"real_label", text(real_label)},
            {"loss", gan_loss_name(loss)},
            {"z", latent == LatentDistribution::normal ? "normal" : "uniform"},
            {"n_critic", text(n_critic)},
            {"drop_last", drop_last ? "true" : "false"},
            {"seed", text(seed)}};
}

GanEquilibrium gan_equilibrium(GanLoss loss, double real_label) {
    switch (loss) {
    case GanLoss::non_saturating:
    case GanLoss::minimax: {
        // D minimises -r ln D - (1 - r) ln(1 - D) - ln(1 - D): D* = r / 2.
        const double d = real_label / 2;
        const double fake = -std::log(1 - d);
        return {d, -real_label * std::log(d) - (1 - real_label) * std::log(1 - d) + fake,
                loss == GanLoss::minimax ? -fake : -std::log(d)};
    }
    case GanLoss::least_squares:
        // Outputs 1/2 for both: 1/8 + 1/8, and (1/2 - 1)^2 / 2.
        return {1 / (1 + std::exp(-0.5)), 0.25, 0.125};
    case GanLoss::hinge:
        return {0.5, 2, 0};
    case GanLoss::wasserstein:
        return {0.5, 0, 0};
    }
    throw std::logic_error("gan_equilibrium: unknown loss");
}

} // namespace patchforge
