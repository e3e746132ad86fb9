#include "host/train/gan_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace patchforge {

namespace {

// In the order of GanLoss, then what is a wasserstein loss with a penalty.
constexpr std::array<const char*, 6> loss_names = {"ns",    "minimax", "lsgan",
                                                   "hinge", "wgan",    "wgan-gp"};

void require(bool holds, const char* option, const std::string& value, const char* range) {
    if (!holds) {
        throw std::invalid_argument(
            fmt::format("{} {}: out of range; give a value {}", option, value, range));
    }
}

constexpr std::array<const char*, 3> normalisation_names = {"none", "batch", "virtual"};

void require_number(bool holds, const char* option, double value, const char* range) {
    require(holds && std::isfinite(value), option, fmt::format("{}", value), range);
}

void require_widths(const char* option, const std::vector<std::int64_t>& widths) {
    const bool right = widths.size() <= 16 &&
                       std::all_of(widths.begin(), widths.end(),
                                   [](std::int64_t width) { return width >= 1 && width <= 65536; });
    require(right, option, fmt::format("{}", fmt::join(widths, ",")),
            "of 1 to 16 widths, each from 1 to 65536");
}

} // namespace

std::vector<std::string> gan_loss_names() {
    return {loss_names.begin(), loss_names.end()};
}

std::string gan_loss_name(const GanOptions& options) {
    const bool penalised = options.loss == GanLoss::wasserstein && options.lambda_gp > 0;
    return penalised ? loss_names.back() : loss_names[static_cast<std::size_t>(options.loss)];
}

void choose_loss(GanOptions& options, const std::string& name) {
    const auto found = std::find(loss_names.begin(), loss_names.end(), name);
    if (found == loss_names.end()) {
        throw std::invalid_argument(fmt::format("--loss {}: no such loss; use one of {}", name,
                                                fmt::join(loss_names, ", ")));
    }
    const bool penalised = name == "wgan-gp";
    options.loss =
        penalised ? GanLoss::wasserstein : static_cast<GanLoss>(found - loss_names.begin());
    options.lambda_gp = penalised ? 10 : 0;
    options.clip_value = name == "wgan" ? 0.01 : 0;
}

Normalisation normalisation_from_name(const std::string& option, const std::string& name) {
    for (std::size_t i = 0; i < normalisation_names.size(); ++i) {
        if (name == normalisation_names[i]) {
            return static_cast<Normalisation>(i);
        }
    }
    throw std::invalid_argument(fmt::format("{} {}: no such normalisation; use one of {}", option,
                                            name, fmt::join(normalisation_names, ", ")));
}

void GanOptions::validate() const {
    const auto number = [](double value) { return fmt::format("{}", value); };
    require(epochs >= 1, "--epochs", number(epochs), "of at least 1");
    require(steps >= 0, "--steps", number(steps), "of at least 0 (0: by epochs)");
    require(batch_size >= 1 && batch_size <= 65536, "--batch-size", number(batch_size),
            "from 1 to 65536");
    require(latent_dim >= 1 && latent_dim <= 65536, "--latent-dim", number(latent_dim),
            "from 1 to 65536");
    require(!hidden_dims.empty(), "--hidden-dims", "", "of 1 to 16 widths");
    require_widths("--hidden-dims", hidden_dims);
    require_widths("--hidden-dims-d", hidden_dims_d);
    require_widths("--hidden-dims-g", hidden_dims_g);
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
    require_number(lambda_gp >= 0, "--lambda-gp", lambda_gp, "of at least 0");
    require_number(clip_value >= 0, "--clip-value", clip_value, "of at least 0 (0: no clipping)");
    require_number(lambda_pixel >= 0, "--lambda-pixel", lambda_pixel, "of at least 0");
    require_number(lambda_history >= 0, "--lambda-history", lambda_history, "of at least 0");
    require_number(instance_noise >= 0 && instance_noise <= 10, "--instance-noise", instance_noise,
                   "from 0 to 10");
    require(instance_noise_steps >= 0, "--instance-noise-steps", number(instance_noise_steps),
            "of at least 0 (0: the noise stays)");
    require_number(ema >= 0 && ema < 1, "--ema", ema, "from 0 to below 1");
    require_number(true, "--decay-epoch", decay_epoch, "that is a number");
    require(closeness_columns >= 0 && closeness_columns <= 1024, "--minibatch-discrimination",
            number(closeness_columns), "from 0 to 1024");
    require(closeness_size >= 1 && closeness_size <= 1024, "--minibatch-size",
            number(closeness_size), "from 1 to 1024");
    require(components >= 0 && components <= 4096, "--components", number(components),
            "from 0 (pixels) to 4096");
    if (real_label != 1 && loss != GanLoss::non_saturating && loss != GanLoss::minimax) {
        throw std::invalid_argument(fmt::format(
            "--real-label {}: label smoothing needs a logistic loss; use --loss ns or minimax",
            real_label));
    }
    const auto together = [](bool wrong, const char* options, const char* reason) {
        if (wrong) {
            throw std::invalid_argument(
                fmt::format("{}: {}; leave one of them out", options, reason));
        }
    };
    const bool piecewise_linear = activation_d == Activation::relu ||
                                  activation_d == Activation::leaky_relu ||
                                  activation_d == Activation::identity;
    together(lambda_gp > 0 && !piecewise_linear, "--lambda-gp, --activation-d",
             "the penalty's gradient is worked out for relu and leaky_relu");
    together(lambda_gp > 0 && normalisation_d != Normalisation::none, "--lambda-gp, --norm-d",
             "the penalty is on each row's slope, which normalisation makes the batch's");
    together(lambda_gp > 0 && closeness_columns > 0, "--lambda-gp, --minibatch-discrimination",
             "the penalty is on each row's slope, which other rows must not change");
    together(closeness_columns > 0 && normalisation_d == Normalisation::virtual_batch,
             "--minibatch-discrimination, --norm-d virtual",
             "the reference rows are no part of the batch whose rows are compared");
    together(batch_size == 1 && (normalisation_d == Normalisation::batch ||
                                 normalisation_g == Normalisation::batch),
             "--batch-size 1, --norm-d or --norm-g batch", "one row has no variance");
}

void GanOptions::validate_for(std::int64_t patches) const {
    const bool batch_normalised =
        normalisation_d == Normalisation::batch || normalisation_g == Normalisation::batch;
    if (batch_normalised && !drop_last && patches % batch_size == 1) {
        throw std::invalid_argument(fmt::format(
            "--batch-size {}: the last batch of an epoch of {} patches is one row, which has no "
            "variance to normalise by; give --drop-last or another size",
            batch_size, patches));
    }
}

std::vector<std::pair<std::string, std::string>> GanOptions::listed() const {
    const auto text = [](const auto& value) { return fmt::format("{}", value); };
    const auto widths = [&](const std::vector<std::int64_t>& own) {
        return fmt::format("{}", fmt::join(own.empty() ? hidden_dims : own, ","));
    };
    return {{"epochs", text(epochs)},
            {"steps", text(steps)},
            {"batch_size", text(batch_size)},
            {"latent_dim", text(latent_dim)},
            {"z", latent == LatentDistribution::normal ? "normal" : "uniform"},
            {"hidden_dims_d", widths(hidden_dims_d)},
            {"hidden_dims_g", widths(hidden_dims_g)},
            {"activation_d", activation_name(activation_d)},
            {"activation_g", activation_name(activation_g)},
            {"leaky_slope", text(leaky_slope)},
            {"dropout", text(dropout)},
            {"norm_d", normalisation_names[static_cast<std::size_t>(normalisation_d)]},
            {"norm_g", normalisation_names[static_cast<std::size_t>(normalisation_g)]},
            {"minibatch_discrimination", text(closeness_columns)},
            {"minibatch_size", text(closeness_size)},
            {"conditional", text(conditional)},
            {"components", text(components)},
            {"loss", gan_loss_name(*this)},
            {"real_label", text(real_label)},
            {"lambda_gp", text(lambda_gp)},
            {"clip_value", text(clip_value)},
            {"feature_matching", text(feature_matching)},
            {"lambda_pixel", text(lambda_pixel)},
            {"lambda_history", text(lambda_history)},
            {"instance_noise", text(instance_noise)},
            {"instance_noise_steps", text(instance_noise_steps)},
            {"n_critic", text(n_critic)},
            {"lr_d", text(learning_rate_d)},
            {"lr_g", text(learning_rate_g)},
            {"b1", text(beta1)},
            {"b2", text(beta2)},
            {"adam_eps", text(adam_epsilon)},
            {"decay_epoch", text(decay_epoch)},
            {"ema", text(ema)},
            {"persistent", text(persistent)},
            {"drop_last", text(drop_last)},
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
    case GanLoss::wasserstein: {
        constexpr double open = std::numeric_limits<double>::quiet_NaN();
        return {open, 0, open};
    }
    }
    throw std::logic_error("gan_equilibrium: unknown loss");
}

std::string gan_rest_text(const GanOptions& options) {
    const GanEquilibrium rest = gan_equilibrium(options.loss, options.real_label);
    std::string text =
        fmt::format("If fakes were distributed like the patches: d_loss {:.4f}", rest.loss_d);
    text += std::isnan(rest.loss_g) ? ", g_loss anything, patches and fakes scored alike"
                                    : fmt::format(", g_loss {:.4f}, D(x) = D(G(z)) = {:.2f}",
                                                  rest.loss_g, rest.probability);
    if (options.feature_matching || options.lambda_pixel > 0 || options.lambda_history > 0 ||
        (options.lambda_gp > 0 && options.loss != GanLoss::wasserstein)) {
        text += "; the added terms move that";
    }
    return text;
}

} // namespace patchforge
