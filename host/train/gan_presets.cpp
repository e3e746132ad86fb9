#include "host/train/gan_presets.h"

#include <fmt/format.h>

#include <stdexcept>

namespace patchforge {

namespace {

// Both networks see pictures through their leading principal components; a penalised critic with
// two steps to the generator's one; an average of about the last 100 iterations.
GanOptions through_components(std::int64_t components) {
    GanOptions options;
    choose_loss(options, "wgan-gp");
    options.components = components;
    options.n_critic = 2;
    options.dropout = 0;
    options.activation_g = Activation::leaky_relu;
    options.learning_rate_d = options.learning_rate_g = 5e-4;
    options.ema = 0.99;
    return options;
}

} // namespace

std::vector<std::string> gan_preset_names() {
    return {"default", "mnist", "cifar10", "idc", "seed-b1", "seed-b10"};
}

GanOptions gan_preset(const std::string& name) {
    GanOptions options;
    if (name == "default") {
        return options;
    }
    if (name == "seed-b1" || name == "seed-b10") {
        options.batch_size = name == "seed-b1" ? 1 : 10;
        options.epochs = name == "seed-b1" ? 1 : 5;
        options.beta1 = 0.9;
        return options;
    }
    if (name == "mnist") {
        options = through_components(100);
        options.latent_dim = 100;
        options.hidden_dims = {512,
                               512}; // strokes are sharper functions of the components than stains
        options.steps = 6000;
        return options;
    }
    if (name == "cifar10") {
        options = through_components(192);
        options.latent_dim = 100;
        options.steps = 4000;
        return options;
    }
    if (name == "idc") {
        options = through_components(192);
        options.latent_dim = 128;
        options.steps = 2500;
        return options;
    }
    throw std::invalid_argument(fmt::format("--preset {}: no such preset; use one of {}", name,
                                            fmt::join(gan_preset_names(), ", ")));
}

} // namespace patchforge
