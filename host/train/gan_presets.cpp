#include "host/train/gan_presets.h"

#include <fmt/format.h>

#include <stdexcept>

namespace patchforge {

namespace {

// Batches of 128, label smoothing, a leaky generator and an average of about the last 100
// iterations.
GanOptions smoothed() {
    GanOptions options;
    options.batch_size = 128;
    options.real_label = 0.9;
    options.activation_g = Activation::leaky_relu;
    options.ema = 0.99;
    return options;
}

// Both networks see pictures through their leading principal components.
GanOptions through_components(std::int64_t components) {
    GanOptions options = smoothed();
    options.components = components;
    options.learning_rate_d = options.learning_rate_g = 6e-4;
    options.instance_noise = 0.05;
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
        options = smoothed();
        options.latent_dim = 100;
        options.dropout = 0.3;
        options.learning_rate_d = options.learning_rate_g = 4e-4;
        options.epochs = 20;
        return options;
    }
    if (name == "cifar10" || name == "idc") {
        options = through_components(192);
        options.latent_dim = name == "idc" ? 128 : 100;
        options.steps = 2000;
        return options;
    }
    throw std::invalid_argument(fmt::format("--preset {}: no such preset; use one of {}", name,
                                            fmt::join(gan_preset_names(), ", ")));
}

} // namespace patchforge
