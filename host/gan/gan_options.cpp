#include "host/gan/gan_options.h"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "host/network/named_networks.h"
#include "host/train/optimiser.h"

namespace patchforge {

namespace {

const Choices<Activation> activations = {{"identity", Activation::identity},
                                         {"relu", Activation::relu},
                                         {"leaky_relu", Activation::leaky_relu},
                                         {"tanh", Activation::tanh},
                                         {"sigmoid", Activation::sigmoid}};
const Choices<Normalisation> normalisations = {{"none", Normalisation::none},
                                               {"batch", Normalisation::batch},
                                               {"virtual", Normalisation::virtual_batch}};
const Choices<GanMode> modes = {{"plain", GanMode::plain}, {"stack", GanMode::stack}};
const Choices<LatentDistribution> latents = {{"normal", LatentDistribution::normal},
                                             {"uniform", LatentDistribution::uniform}};

} // namespace

std::string gan_loss_name(const GanOptions& options) {
    std::string name;
    for (const NamedGanLoss& named : gan_losses()) {
        if (named.loss == options.loss && (name.empty() || options.lambda_gp > 0)) {
            name = named.name;
        }
    }
    return name;
}

void choose_loss(GanOptions& options, const std::string& name) {
    for (const NamedGanLoss& named : gan_losses()) {
        if (named.name == name) {
            options.loss = named.loss;
            options.lambda_gp = named.lambda_gp;
            options.clip_value = named.clip_value;
            return;
        }
    }
    throw std::invalid_argument(fmt::format("--loss {}: no such loss; use one of {}", name,
                                            fmt::join(gan_loss_names(), ", ")));
}

void describe(Options& options, GanOptions& gan) {
    options.group("Network");
    Option& mode = options.choice(
        "mode", gan.mode, modes,
        "stack: small pictures of a class first, then large ones of the small ones, by networks of "
        "its own; with --conditional, --wrong-pairs and --lambda-kl 2");
    mode.set = [&gan, set = mode.set](const std::string& text) {
        set(text);
        if (gan.mode == GanMode::stack) {
            gan.conditional = gan.wrong_pairs = true;
            gan.lambda_kl = 2;
        }
    };
    options.number("condition_dim", gan.condition_dim, {1, 65536},
                   "of --mode stack: numbers of the codes drawn around the mean of a class");
    options.number("stage_1_steps", gan.stage_1_steps, {0, 1000000000000},
                   "of --mode stack: iterations of the first stage (0: as many as the second's)");
    options.number("latent_dim", gan.latent_dim, {1, 65536}, "numbers in a latent code");
    options.text("network", gan.network, "NAME",
                 fmt::format("convolutional networks by name: {} (without: multilayer perceptrons)",
                             fmt::join(named_gans(), ", ")));
    options
        .text("network_g", gan.network_g, "TEXT",
              "the generator's layers as docs/formats.md says, from latent codes to tanh")
        .beside("network_d")
        .instead_of("network");
    options
        .text("network_d", gan.network_d, "TEXT",
              "the discriminator's layers, from pictures to one number")
        .beside("network_g");
    options.only_one_of({"network", "network_g"});
    for (const char* option : {"hidden_dim", "hidden_dims", "hidden_dims_d", "hidden_dims_g",
                               "activation_d", "activation_g", "norm_d", "norm_g", "dropout",
                               "leaky_slope", "minibatch_discrimination"}) {
        options.no_use_beside(option, "network");
        options.no_use_beside(option, "network_g");
    }
    options.custom(
        "hidden_dim", "N", "width of both hidden layers",
        [&gan](const std::string& text) {
            gan.hidden_dims = parse_widths("--hidden-dim", text + ',' + text);
        },
        nullptr);
    options
        .widths("hidden_dims", gan.hidden_dims,
                "widths of the hidden layers of both networks, e.g. 512,256")
        .unrecorded();
    options.only_one_of({"hidden_dim", "hidden_dims"});
    const auto widths_of_one = [&](const char* name, std::vector<std::int64_t>& own,
                                   const char* help) {
        options.widths(name, own, help).recorded_as([&gan, &own]() -> ParameterValue {
            return fmt::format("{}", fmt::join(own.empty() ? gan.hidden_dims : own, ","));
        });
    };
    widths_of_one("hidden_dims_d", gan.hidden_dims_d, "of the discriminator alone");
    widths_of_one("hidden_dims_g", gan.hidden_dims_g, "of the generator alone");
    options.choice("activation_d", gan.activation_d, activations,
                   "of the discriminator's hidden layers");
    options.choice("activation_g", gan.activation_g, activations,
                   "of the generator's hidden layers");
    options.choice("norm_d", gan.normalisation_d, normalisations,
                   "normalisation of the discriminator's hidden layers");
    options.choice("norm_g", gan.normalisation_g, normalisations,
                   "normalisation of the generator's hidden layers");
    options.number("minibatch_discrimination", gan.closeness_columns, {0, 1024},
                   "columns that tell the discriminator how close rows are (0: none)");
    options
        .number("minibatch_size", gan.closeness_size, {1, 1024},
                "numbers each of these columns is made of")
        .beside("minibatch_discrimination");
    options.toggle("conditional", gan.conditional, "both networks are told the class");
    options
        .toggle("projection", gan.projection,
                "the discriminator of --network judges the class by its product with the features, "
                "instead of reading it as maps")
        .beside("conditional");
    options.number("components", gan.components, {0, 4096},
                   "principal components both networks see patches through (0: pixels)");
    options.number("dropout", gan.dropout, {0, 0.999}, "of the discriminator");
    options.number("leaky_slope", gan.leaky_slope, {1e-6, 0.999999}, "slope of the leaky ReLU");
    options.choice("z", gan.latent, latents, "distribution of the latent codes");

    options.group("Training");
    options.number("epochs", gan.epochs, {1, 1000000}, "passes over the data").instead_of("steps");
    options.number("steps", gan.steps, {0, 1000000000000},
                   "iterations instead of epochs (0: by --epochs)");
    options.only_one_of({"steps", "epochs"});
    options.number("batch_size", gan.batch_size, {1, 65536}, "patches a batch");
    constexpr Range<double> rates = {1e-12, 1};
    Option& rate =
        options.number("lr", gan.learning_rate_d, rates, "learning rate of both networks");
    rate.unrecorded().set = [&gan, set = rate.set](const std::string& text) {
        set(text);
        gan.learning_rate_g = gan.learning_rate_d;
    };
    options.number("lr_d", gan.learning_rate_d, rates, "learning rate of the discriminator");
    options.number("lr_g", gan.learning_rate_g, rates, "learning rate of the generator");
    describe_adam(options, gan.beta1, gan.beta2, gan.adam_epsilon);
    options
        .custom(
            "loss", fmt::format("{}", fmt::join(gan_loss_names(), "|")),
            "ns: non-saturating; wgan and wgan-gp set their clip value and penalty",
            [&gan](const std::string& text) { choose_loss(gan, text); },
            [&gan]() -> ParameterValue { return gan_loss_name(gan); })
        .values = fmt::format("{}", fmt::join(gan_loss_names(), ", "));
    options.number("lambda_gp", gan.lambda_gp, {0, 1e6},
                   "weight of the gradient penalty (wgan-gp: 10)");
    options.number("r1", gan.r1, {0, 1e6},
                   "gamma of R1: gamma / 2 times the discriminator's squared slope at patches is "
                   "added to its loss");
    options.number("clip_value", gan.clip_value, {0, 1e6},
                   "bound of the discriminator's weights (wgan: 0.01; 0: none)");
    options.toggle("wrong_pairs", gan.wrong_pairs,
                   "the discriminator is shown patches with another class than theirs, too, as "
                   "fakes");
    options.number("lambda_kl", gan.lambda_kl, {0, 1e6},
                   "weight of the divergence from the standard normal of codes drawn around the "
                   "mean of a class (augment in the generator's text)");
    options.toggle("feature_matching", gan.feature_matching,
                   "the generator matches the mean of D's last hidden layer");
    options.number("lambda_pixel", gan.lambda_pixel, {0, 1e6},
                   "weight of the L1 distance to the batch's (unpaired) patches");
    options.number("lambda_history", gan.lambda_history, {0, 1e6},
                   "weight of historical averaging");
    options.number("instance_noise", gan.instance_noise, {0, 10},
                   "deviation of noise on the discriminator's inputs, pixels in [-1, 1]");
    options
        .number("instance_noise_steps", gan.instance_noise_steps, {0, 1000000000000},
                "iteration at which it has fallen to 0 (0: it stays)")
        .beside("instance_noise");
    options.toggle("symmetries", gan.symmetries,
                   "patches are turned by quarters and mirrored, each as it happens");
    options.toggle("dequantise", gan.dequantise,
                   "patches plus uniform noise of half a byte's step either way");
    options.number("translation", gan.translation, {0, 1000},
                   "patches and fakes are moved by up to so many pixels before the discriminator");
    options.number("cutout", gan.cutout, {0, 65536},
                   "patches and fakes lose a square of this side before the discriminator");
    options.toggle("one_fake", gan.one_fake,
                   "the fakes of the discriminator's step serve the generator's too");
    describe_rates(options, gan.rates);
    options.number("ema", gan.ema, {0, 0.9999999},
                   "decay of the averaged generator that samples come from (0: none)");
    options.toggle("ema_warmup", gan.ema_warmup,
                   "at iteration t that decay is at most (1 + t) / (10 + t)");
    options.number(
        "ema_statistics", gan.ema_statistics, {0, 10000},
        "batches of 64 from which the averaged generator's statistics are worked out (0: "
        "they are averaged too)");
    options.toggle("persistent", gan.persistent,
                   "one kernel for many iterations instead of a recorded one: small batches of a "
                   "plain GAN on a Hopper GPU");
    options.number("real_label", gan.real_label, {0.01, 1},
                   "target of real patches (one-sided label smoothing)");
    options.number("n_critic", gan.n_critic, {1, 100}, "discriminator steps an iteration");
    options.toggle("drop_last", gan.drop_last,
                   "leave out the partial batch at the end of an epoch");
    options.number("seed", gan.seed, any_seed, "of everything random");
}

void GanOptions::validate() const {
    check_ranges(*this);
    if (real_label != 1 && !is_logistic(loss)) {
        throw std::invalid_argument(fmt::format(
            "--real-label {}: label smoothing needs a logistic loss; use --loss ns, minimax or ml",
            real_label));
    }
    if (network_g.empty() != network_d.empty()) {
        throw std::invalid_argument("--network-g, --network-d: one network alone; give both");
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
    together(wrong_pairs && !conditional, "--wrong-pairs, no --conditional",
             "there are no classes to be wrong about");
    together(wrong_pairs && normalisation_d == Normalisation::virtual_batch,
             "--wrong-pairs, --norm-d virtual", "reference rows stand before the patches");
    if (projection && network.empty()) {
        throw std::invalid_argument("--projection: is for --network NAME; say it in the words of "
                                    "--network-d (channels, dot), or give a name");
    }
    if (lambda_kl > 0 && !layered() && mode == GanMode::plain) {
        throw std::invalid_argument("--lambda-kl: no codes are drawn around the mean of a class; "
                                    "use --mode stack, or augment in --network-g");
    }
    if (mode == GanMode::stack && !conditional) {
        throw std::invalid_argument("--mode stack: its stages are told the class; leave out what "
                                    "turns --conditional off");
    }
    together(layered() && feature_matching, "--network, --feature-matching",
             "features are those of a multilayer perceptron's last hidden layer");
    together(layered() && components > 0, "--network, --components",
             "components are a fixed layer of multilayer perceptrons");
    if (ema == 0 && (ema_warmup || ema_statistics > 0)) {
        throw std::invalid_argument(
            "--ema-warmup, --ema-statistics: no averaged generator is kept; give --ema, 0.999 for "
            "example");
    }
    together(one_fake && (feature_matching || lambda_pixel > 0),
             "--one-fake, --feature-matching or --lambda-pixel",
             "those take the fakes' place for patches");
    together(one_fake && (normalisation_d == Normalisation::virtual_batch ||
                          normalisation_g == Normalisation::virtual_batch),
             "--one-fake, --norm-d or --norm-g virtual", "reference rows stand before the fakes");
    together(augments() && normalisation_d == Normalisation::virtual_batch,
             "--translation or --cutout, --norm-d virtual", "the reference never changes");
    together(layered() && persistent, "--network, --persistent",
             "the kernel holds multilayer perceptrons");
    together(lambda_gp > 0 && r1 > 0, "--lambda-gp, --r1", "one wants slopes of 1, the other of 0");
    together(penalises_slope() && !piecewise_linear, "--lambda-gp or --r1, --activation-d",
             "the penalty's gradient is worked out for relu and leaky_relu");
    together(penalises_slope() && normalisation_d == Normalisation::virtual_batch,
             "--lambda-gp or --r1, --norm-d virtual",
             "the second derivative through reference rows is not known here; take --norm-d batch");
    together(penalises_slope() && closeness_columns > 0,
             "--lambda-gp or --r1, --minibatch-discrimination",
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

GanOptions stage_options(const GanOptions& options, int stage, Extent pictures,
                         std::int64_t classes) {
    if (options.layered()) {
        throw std::invalid_argument("--mode stack: its stages have networks of their own; leave "
                                    "out --network, --network-g and --network-d");
    }
    if (options.feature_matching || options.components > 0 || options.persistent) {
        throw std::invalid_argument("--mode stack: --feature-matching, --components and "
                                    "--persistent are for multilayer perceptrons; leave them out");
    }
    GanOptions result = options;
    const GanTexts texts =
        stack_texts(stage, pictures, options.latent_dim, options.condition_dim, classes);
    result.network_g = texts.generator;
    result.network_d = texts.discriminator;
    result.latent_dim += stage * options.condition_dim;
    if (stage == 1 && options.stage_1_steps > 0) {
        result.steps = options.stage_1_steps;
    }
    return result;
}

OptimiserOptions optimiser_options(const GanOptions& options, double learning_rate, double clip) {
    return {.learning_rate = learning_rate,
            .beta1 = options.beta1,
            .beta2 = options.beta2,
            .epsilon = options.adam_epsilon,
            .clip = clip,
            .history = options.lambda_history};
}

std::string gan_rest_text(const GanOptions& options) {
    const GanEquilibrium rest = gan_equilibrium(options.loss, options.real_label);
    std::string text =
        fmt::format("If fakes were distributed like the patches: d_loss {:.4f}", rest.loss_d);
    text += std::isnan(rest.loss_g) ? ", g_loss anything, patches and fakes scored alike"
                                    : fmt::format(", g_loss {:.4f}, D(x) = D(G(z)) = {:.2f}",
                                                  rest.loss_g, rest.probability);
    if (options.feature_matching || options.lambda_pixel > 0 || options.lambda_history > 0 ||
        options.r1 > 0 || (options.lambda_gp > 0 && options.loss != GanLoss::wasserstein)) {
        text += "; the added terms move that";
    }
    return text;
}

} // namespace patchforge
