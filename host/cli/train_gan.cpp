// patchforge train gan: a GAN on the patches of a folder or packed set.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <functional>
#include <memory>
#include <vector>

#include "host/cli/options.h"
#include "host/cli/open_set.h"
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
    std::string hidden_dims;
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
    options.threads = call.device.threads;
    options.placement = placement_from_name(call.placement);
    const GanOptions gan = call.chosen();
    gan.validate();
    options.validate();
    const PackedSet set = open_set(call.data, call.device.threads);
    if (run_gan_training(set, gan, options)) {
        fmt::print("Look at {}/report.html and {}/images/final.png\n", call.out, call.out);
    }
}

void add_network_options(CLI::App& verb, const std::shared_ptr<Call>& call) {
    Call& c = *call;
    const auto over = [&c](CLI::Option* option, auto apply) {
        c.overriding(option->group("Network"), std::move(apply));
    };
    over(add_number<std::int64_t>(verb, "--latent-dim", c.options.latent_dim, "numbers in a latent code",
                                  1, 65536),
         [&c](GanOptions& o) { o.latent_dim = c.options.latent_dim; });
    over(add_number<std::int64_t>(verb, "--hidden-dim", c.hidden_dim, "width of both hidden layers", 1,
                                  65536),
         [&c](GanOptions& o) { o.hidden_dims = {c.hidden_dim, c.hidden_dim}; });
    over(add_text(verb, "--hidden-dims", c.hidden_dims,
                  "widths of the hidden layers of both networks, e.g. 512,256", "LIST"),
         [&c](GanOptions& o) { o.hidden_dims = parse_widths(c.hidden_dims); });
    over(add_number<double>(verb, "--dropout", c.options.dropout, "of the discriminator", 0, 0.999),
         [&c](GanOptions& o) { o.dropout = c.options.dropout; });
    over(add_number<double>(verb, "--leaky-slope", c.options.leaky_slope,
                            "slope of the discriminator's leaky ReLU", 1e-6, 0.999999),
         [&c](GanOptions& o) { o.leaky_slope = c.options.leaky_slope; });
    over(add_choice(verb, "--z", c.latent, "distribution of the latent codes", {"normal", "uniform"}),
         [&c](GanOptions& o) {
             o.latent = c.latent == "normal" ? LatentDistribution::normal
                                             : LatentDistribution::uniform;
         });
}

void add_training_options(CLI::App& verb, const std::shared_ptr<Call>& call) {
    Call& c = *call;
    const auto over = [&c](CLI::Option* option, auto apply) {
        c.overriding(option->group("Training"), std::move(apply));
    };
    over(add_number<std::int64_t>(verb, "--epochs", c.options.epochs, "passes over the data", 1,
                                  1000000),
         [&c](GanOptions& o) { o.epochs = c.options.epochs; });
    over(add_number<std::int64_t>(verb, "--steps", c.options.steps,
                                  "iterations instead of epochs (0: by --epochs)", 0, 1000000000000),
         [&c](GanOptions& o) { o.steps = c.options.steps; });
    over(add_number<std::int64_t>(verb, "--batch-size", c.options.batch_size, "patches a batch", 1,
                                  65536),
         [&c](GanOptions& o) { o.batch_size = c.options.batch_size; });
    over(add_number<double>(verb, "--lr", c.learning_rate, "learning rate of both networks", 1e-12, 1),
         [&c](GanOptions& o) { o.learning_rate_d = o.learning_rate_g = c.learning_rate; });
    over(add_number<double>(verb, "--lr-d", c.options.learning_rate_d,
                            "learning rate of the discriminator", 1e-12, 1),
         [&c](GanOptions& o) { o.learning_rate_d = c.options.learning_rate_d; });
    over(add_number<double>(verb, "--lr-g", c.options.learning_rate_g, "learning rate of the generator",
                            1e-12, 1),
         [&c](GanOptions& o) { o.learning_rate_g = c.options.learning_rate_g; });
    over(add_number<double>(verb, "--b1", c.options.beta1, "Adam's first decay", 0, 0.999999),
         [&c](GanOptions& o) { o.beta1 = c.options.beta1; });
    over(add_number<double>(verb, "--b2", c.options.beta2, "Adam's second decay", 0, 0.9999999),
         [&c](GanOptions& o) { o.beta2 = c.options.beta2; });
    over(add_number<double>(verb, "--adam-eps", c.options.adam_epsilon, "Adam's epsilon", 1e-30, 1),
         [&c](GanOptions& o) { o.adam_epsilon = c.options.adam_epsilon; });
    over(add_choice(verb, "--loss", c.loss, "ns: non-saturating", {"ns", "minimax", "lsgan", "hinge", "wgan"}),
         [&c](GanOptions& o) { o.loss = gan_loss_from_name(c.loss); });
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
    add_switch(verb, "--resume", c.run.resume, "go on with the run in --out from its last checkpoint")
        ->group("Run");
    add_number<std::int64_t>(verb, "--log-interval", c.run.log_interval, "iterations a logged line", 1,
                             1000000000)
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
    verb->callback([call] { run(*call); });
}

} // namespace patchforge
