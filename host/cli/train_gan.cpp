// patchforge train gan: a GAN on the patches of a folder or packed set.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <functional>
#include <memory>
#include <vector>

#include "host/cli/open_set.h"
#include "host/cli/options.h"
#include "host/cli/verbs.h"
#include "host/cli/widths.h"
#include "host/train/gan_presets.h"
#include "host/train/gan_run.h"

namespace patchforge {

namespace {

// What the command line said, and how what was said is laid over the chosen preset.
struct Call {
    DataOptions data;
    DeviceOptions device;
    std::string preset = "default";
    GanOptions options;
    double learning_rate = 2e-4;
    std::int64_t hidden_dim = 256;
    std::string hidden_dims, hidden_dims_d, hidden_dims_g;
    std::string activation_d = "leaky_relu", activation_g = "relu";
    std::string normalisation_d = "none", normalisation_g = "none";
    std::string loss = "ns";
    std::string latent = "normal";
    std::string placement = "auto";
    std::string out;
    GanRunOptions run;
    std::vector<std::pair<CLI::Option*, std::function<void(GanOptions&)>>> overrides;

    // The option changes the preset only where it was given.
    void overriding(CLI::Option* option, std::function<void(GanOptions&)> apply) {
        overrides.emplace_back(option, std::move(apply));
    }
    GanOptions chosen() const {
        GanOptions result = gan_preset(preset);
        for (const auto& [option, apply] : overrides) {
            if (option->count() > 0) {
                apply(result);
            }
        }
        return result;
    }
};

void run(const Call& call) {
    GanRunOptions options = call.run;
    options.out = call.out;
    options.device = call.device.device;
    options.backend = call.device.backend;
    options.placement = placement_from_name(call.placement);
    const GanOptions gan = call.chosen();
    gan.validate();
    options.validate();
    const PackedSet set = open_set(call.data, call.device.backend.threads);
    if (run_gan_training(set, gan, options)) {
        fmt::print("Look at {}/report.html and {}/images/final.png\n", call.out, call.out);
    } else {
        fmt::print("Go on with the same command and --resume\n");
    }
}

void add_network_options(CLI::App& verb, const std::shared_ptr<Call>& call) {
    Call& c = *call;
    const auto over = [&c](CLI::Option* option, auto apply) {
        c.overriding(option->group("Network"), std::move(apply));
    };
    over(add_number<std::int64_t>(verb, "--latent-dim", c.options.latent_dim,
                                  "numbers in a latent code", 1, 65536),
         [&c](GanOptions& o) { o.latent_dim = c.options.latent_dim; });
    over(add_number<std::int64_t>(verb, "--hidden-dim", c.hidden_dim, "width of both hidden layers",
                                  1, 65536),
         [&c](GanOptions& o) {
             o.hidden_dims = {c.hidden_dim, c.hidden_dim};
         });
    over(add_text(verb, "--hidden-dims", c.hidden_dims,
                  "widths of the hidden layers of both networks, e.g. 512,256", "LIST"),
         [&c](GanOptions& o) { o.hidden_dims = parse_widths(c.hidden_dims); });
    over(add_text(verb, "--hidden-dims-d", c.hidden_dims_d, "of the discriminator alone", "LIST"),
         [&c](GanOptions& o) { o.hidden_dims_d = parse_widths(c.hidden_dims_d); });
    over(add_text(verb, "--hidden-dims-g", c.hidden_dims_g, "of the generator alone", "LIST"),
         [&c](GanOptions& o) { o.hidden_dims_g = parse_widths(c.hidden_dims_g); });
    const std::vector<std::string> activations = {"relu", "leaky_relu", "tanh", "sigmoid"};
    over(add_choice(verb, "--activation-d", c.activation_d, "of the discriminator's hidden layers",
                    activations),
         [&c](GanOptions& o) { o.activation_d = activation_from_name(c.activation_d); });
    over(add_choice(verb, "--activation-g", c.activation_g, "of the generator's hidden layers",
                    activations),
         [&c](GanOptions& o) { o.activation_g = activation_from_name(c.activation_g); });
    const std::vector<std::string> normalisations = {"none", "batch", "virtual"};
    over(add_choice(verb, "--norm-d", c.normalisation_d,
                    "normalisation of the discriminator's hidden layers", normalisations),
         [&c](GanOptions& o) {
             o.normalisation_d = normalisation_from_name("--norm-d", c.normalisation_d);
         });
    over(add_choice(verb, "--norm-g", c.normalisation_g,
                    "normalisation of the generator's hidden layers", normalisations),
         [&c](GanOptions& o) {
             o.normalisation_g = normalisation_from_name("--norm-g", c.normalisation_g);
         });
    over(add_number<std::int64_t>(
             verb, "--minibatch-discrimination", c.options.closeness_columns,
             "columns that tell the discriminator how close rows are (0: none)", 0, 1024),
         [&c](GanOptions& o) { o.closeness_columns = c.options.closeness_columns; });
    over(add_number<std::int64_t>(verb, "--minibatch-size", c.options.closeness_size,
                                  "numbers each of these columns is made of", 1, 1024),
         [&c](GanOptions& o) { o.closeness_size = c.options.closeness_size; });
    over(add_switch(verb, "--conditional", c.options.conditional,
                    "both networks are told the class"),
         [&c](GanOptions& o) { o.conditional = c.options.conditional; });
    over(add_number<std::int64_t>(
             verb, "--components", c.options.components,
             "principal components both networks see patches through (0: pixels)", 0, 4096),
         [&c](GanOptions& o) { o.components = c.options.components; });
    over(add_number<double>(verb, "--dropout", c.options.dropout, "of the discriminator", 0, 0.999),
         [&c](GanOptions& o) { o.dropout = c.options.dropout; });
    over(add_number<double>(verb, "--leaky-slope", c.options.leaky_slope,
                            "slope of the discriminator's leaky ReLU", 1e-6, 0.999999),
         [&c](GanOptions& o) { o.leaky_slope = c.options.leaky_slope; });
    over(add_choice(verb, "--z", c.latent, "distribution of the latent codes",
                    {"normal", "uniform"}),
         [&c](GanOptions& o) {
             o.latent =
                 c.latent == "normal" ? LatentDistribution::normal : LatentDistribution::uniform;
         });
}

void add_training_options(CLI::App& verb, const std::shared_ptr<Call>& call) {
    Call& c = *call;
    const auto over = [&c](CLI::Option* option, auto apply) {
        c.overriding(option->group("Training"), std::move(apply));
    };
    over(add_number<std::int64_t>(verb, "--epochs", c.options.epochs, "passes over the data", 1,
                                  1000000),
         [&c](GanOptions& o) {
             o.epochs = c.options.epochs;
             o.steps = 0; // of the preset
         });
    over(add_number<std::int64_t>(verb, "--steps", c.options.steps,
                                  "iterations instead of epochs (0: by --epochs)", 0,
                                  1000000000000),
         [&c](GanOptions& o) { o.steps = c.options.steps; });
    over(add_number<std::int64_t>(verb, "--batch-size", c.options.batch_size, "patches a batch", 1,
                                  65536),
         [&c](GanOptions& o) { o.batch_size = c.options.batch_size; });
    over(add_number<double>(verb, "--lr", c.learning_rate, "learning rate of both networks", 1e-12,
                            1),
         [&c](GanOptions& o) { o.learning_rate_d = o.learning_rate_g = c.learning_rate; });
    over(add_number<double>(verb, "--lr-d", c.options.learning_rate_d,
                            "learning rate of the discriminator", 1e-12, 1),
         [&c](GanOptions& o) { o.learning_rate_d = c.options.learning_rate_d; });
    over(add_number<double>(verb, "--lr-g", c.options.learning_rate_g,
                            "learning rate of the generator", 1e-12, 1),
         [&c](GanOptions& o) { o.learning_rate_g = c.options.learning_rate_g; });
    over(add_number<double>(verb, "--b1", c.options.beta1, "Adam's first decay", 0, 0.999999),
         [&c](GanOptions& o) { o.beta1 = c.options.beta1; });
    over(add_number<double>(verb, "--b2", c.options.beta2, "Adam's second decay", 0, 0.9999999),
         [&c](GanOptions& o) { o.beta2 = c.options.beta2; });
    over(add_number<double>(verb, "--adam-eps", c.options.adam_epsilon, "Adam's epsilon", 1e-30, 1),
         [&c](GanOptions& o) { o.adam_epsilon = c.options.adam_epsilon; });
    over(add_choice(verb, "--loss", c.loss,
                    "ns: non-saturating; wgan and wgan-gp set their clip value and penalty",
                    gan_loss_names()),
         [&c](GanOptions& o) { choose_loss(o, c.loss); });
    over(add_number<double>(verb, "--lambda-gp", c.options.lambda_gp,
                            "weight of the gradient penalty (wgan-gp: 10)", 0, 1e6),
         [&c](GanOptions& o) { o.lambda_gp = c.options.lambda_gp; });
    over(add_number<double>(verb, "--clip-value", c.options.clip_value,
                            "bound of the discriminator's weights (wgan: 0.01; 0: none)", 0, 1e6),
         [&c](GanOptions& o) { o.clip_value = c.options.clip_value; });
    over(add_switch(verb, "--feature-matching", c.options.feature_matching,
                    "the generator matches the mean of D's last hidden layer"),
         [&c](GanOptions& o) { o.feature_matching = c.options.feature_matching; });
    over(add_number<double>(verb, "--lambda-pixel", c.options.lambda_pixel,
                            "weight of the L1 distance to the batch's (unpaired) patches", 0, 1e6),
         [&c](GanOptions& o) { o.lambda_pixel = c.options.lambda_pixel; });
    over(add_number<double>(verb, "--lambda-history", c.options.lambda_history,
                            "weight of historical averaging", 0, 1e6),
         [&c](GanOptions& o) { o.lambda_history = c.options.lambda_history; });
    over(add_number<double>(verb, "--instance-noise", c.options.instance_noise,
                            "deviation of noise on the discriminator's inputs, pixels in [-1, 1]",
                            0, 10),
         [&c](GanOptions& o) { o.instance_noise = c.options.instance_noise; });
    over(add_number<std::int64_t>(verb, "--instance-noise-steps", c.options.instance_noise_steps,
                                  "iteration at which it has fallen to 0 (0: it stays)", 0,
                                  1000000000000),
         [&c](GanOptions& o) { o.instance_noise_steps = c.options.instance_noise_steps; });
    over(add_number<double>(verb, "--decay-epoch", c.options.decay_epoch,
                            "epoch from which both learning rates fall to 0 (-1: never)", -1, 1e9),
         [&c](GanOptions& o) { o.decay_epoch = c.options.decay_epoch; });
    over(add_number<double>(verb, "--ema", c.options.ema,
                            "decay of the averaged generator that samples come from (0: none)", 0,
                            0.9999999),
         [&c](GanOptions& o) { o.ema = c.options.ema; });
    over(add_switch(verb, "--persistent", c.options.persistent,
                    "one kernel for many iterations instead of a recorded one: small batches of a "
                    "plain GAN on a Hopper GPU"),
         [&c](GanOptions& o) { o.persistent = c.options.persistent; });
    over(add_number<double>(verb, "--real-label", c.options.real_label,
                            "target of real patches (one-sided label smoothing)", 0.01, 1),
         [&c](GanOptions& o) { o.real_label = c.options.real_label; });
    over(add_number<std::int64_t>(verb, "--n-critic", c.options.n_critic,
                                  "discriminator steps an iteration", 1, 100),
         [&c](GanOptions& o) { o.n_critic = c.options.n_critic; });
    over(add_switch(verb, "--drop-last", c.options.drop_last,
                    "leave out the partial batch at the end of an epoch"),
         [&c](GanOptions& o) { o.drop_last = c.options.drop_last; });
    over(add_number<std::uint64_t>(verb, "--seed", c.options.seed, "of everything random", 0,
                                   ~std::uint64_t{0}),
         [&c](GanOptions& o) { o.seed = c.options.seed; });
}

void add_run_options(CLI::App& verb, const std::shared_ptr<Call>& call) {
    Call& c = *call;
    add_text(verb, "--out", c.out, "folder of the run, e.g. runs/gan (required)", "FOLDER")
        ->required()
        ->group("Run");
    add_switch(verb, "--resume", c.run.resume,
               "go on with the run in --out from its last checkpoint")
        ->group("Run");
    add_number<std::int64_t>(verb, "--log-interval", c.run.log_interval, "iterations a logged line",
                             1, 1000000000)
        ->group("Run");
    add_number<std::int64_t>(verb, "--sample-interval", c.run.sample_interval,
                             "iterations a grid of fakes (0: at the end)", 0, 1000000000)
        ->group("Run");
    add_number<std::int64_t>(verb, "--checkpoint-interval", c.run.checkpoint_interval,
                             "iterations a checkpoint (0: at the end)", 0, 1000000000)
        ->group("Run");
    add_number<int>(verb, "--keep", c.run.keep, "checkpoints kept", 1, 1000000)->group("Run");
    add_number<std::int64_t>(verb, "--test-patients", c.run.test_patients,
                             "patients left out of training (0: none)", 0, 1000000)
        ->group("Run");
    add_number<std::int64_t>(
        verb, "--eval-interval", c.run.evaluation.interval,
        "iterations a measurement of fakes; the best one's generator is kept (0: never)", 0,
        1000000000)
        ->group("Run");
    add_number<std::int64_t>(verb, "--eval-count", c.run.evaluation.count,
                             "fakes for it, and patches at most", 20, 1000000)
        ->group("Run");
    add_text(verb, "--features", c.run.evaluation.features,
             "a classifier to measure in the features of, trained on other patients (without: "
             "principal components of the pixels)",
             "FOLDER|FILE")
        ->group("Run");
    add_choice(verb, "--placement", c.placement,
               "where the patches lie in training; auto: on the device if they fit",
               {"auto", "resident", "streamed"})
        ->group("Run");
}

} // namespace

void add_train_gan(CLI::App& train) {
    auto call = std::make_shared<Call>();
    CLI::App* verb = train.add_subcommand("gan", "train a GAN");
    add_data_options(*verb, call->data);
    add_choice(*verb, "--preset", call->preset,
               "settings to start from; other options are laid over it", gan_preset_names());
    add_network_options(*verb, call);
    add_training_options(*verb, call);
    add_run_options(*verb, call);
    add_device_options(*verb, call->device);
    only_one_of(*verb, {"--steps", "--epochs"});
    only_one_of(*verb, {"--persistent", "--overlap-launches"});
    only_one_of(*verb, {"--hidden-dim", "--hidden-dims"});
    only_beside(*verb, "--eval-count", "--eval-interval");
    only_beside(*verb, "--features", "--eval-interval");
    only_beside(*verb, "--minibatch-size", "--minibatch-discrimination");
    only_beside(*verb, "--instance-noise-steps", "--instance-noise");
    verb->callback([call] { run(*call); });
}

} // namespace patchforge
